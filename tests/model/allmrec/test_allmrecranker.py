"""ALLMRecRanker: a frozen language model ranks titles, with collaborative vectors in its prompt."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from recbole.quick_start import load_data_and_model

from recbole_llminit import cli
from recbole_llminit.dataset.places import PROPS
from recbole_llminit.llm.likelihood import log_likelihoods
from recbole_llminit.utils.errors import UserError
from tests.conftest import Trained, evaluated_afresh, parts, run, settings, tastes, tiny_llm

SPLIT: dict[str, Any] = {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Make a world with titles, a trained backbone, a trained first stage and a language model."""
    folder = tmp_path_factory.mktemp("shop")
    world = tastes(folder / "data", users=24)
    odd = {0: '8" nail', 1: "", 2: "pen", 3: "pen", 4: "  a   b "}
    rows = [f"i{item}\t{odd.get(item, f'item {item}')}" for item in range(40)]
    (world.root / "tastes" / "tastes.item").write_text(
        "\n".join(["item_id:token\ttitle:token_seq", *rows]) + "\n"
    )
    trained = Trained(world, folder)
    stage1 = trained.of("ALLMRec", allmrec_backbone=trained.of("SASRec"))
    return SimpleNamespace(
        world=world, trained=trained, stage1=stage1, llm=str(tiny_llm(folder / "llm", context=640))
    )


def keys(shop: SimpleNamespace, **changes: Any) -> dict[str, Any]:
    own = {"allmrec_stage1": shop.stage1, "allmrec_llm": shop.llm, "allmrec_llm_dtype": "float32"}
    own |= {"allmrec_candidates": 5, "eval_args": {**SPLIT, "mode": "uni4"}, "train_batch_size": 8}
    own |= {"metrics": ["Hit", "NDCG"], "topk": [1, 3], "valid_metric": "Hit@1", "allmrec_prompt": PROMPT}
    return {**own, "candidates_file": "candidates.jsonl", "eval_batch_size": 40, **changes}


PROMPT = "{user} took{history}. From{candidates}:"


def build(shop: SimpleNamespace, **changes: Any) -> Any:
    return parts("ALLMRecRanker", shop.world, **keys(shop, **changes))


def test_loss_falls_and_only_the_projections_learn(shop: SimpleNamespace) -> None:
    made = build(shop, learning_rate=0.01)
    model = made.model
    assert {name.split(".")[0] for name in model.state_dict()} == {"user_projection", "item_projection"}
    before = {name: value.clone() for name, value in model.llm.model.state_dict().items()}
    joint = model.joint.clone()
    batch = next(iter(made.train))
    np.random.seed(0)
    model.calculate_loss(batch).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    losses = [np.sum(made.trainer._train_epoch(made.train, epoch)) for epoch in range(6)]
    assert losses[-1] < losses[0]
    assert torch.equal(model.joint, joint)
    assert all(torch.equal(value, before[name]) for name, value in model.llm.model.state_dict().items())


def test_trained_projections_beat_untrained_ones(shop: SimpleNamespace) -> None:
    """Training makes the true next titles of the training batch likelier."""
    made = build(shop, learning_rate=0.01, allmrec_history=3)
    batch = next(iter(made.train))

    def likelihood() -> float:
        np.random.seed(3)
        with torch.no_grad():
            return -float(made.model.calculate_loss(batch))

    before = likelihood()
    for epoch in range(10):
        made.trainer._train_epoch(made.train, epoch)
    assert likelihood() > before


def test_scores_are_the_titles_likelihoods_in_any_order_of_rows(shop: SimpleNamespace) -> None:
    made = build(shop)
    model = made.model.eval()
    batch, rows, *_ = next(iter(made.test))
    with torch.no_grad():
        scores = model.predict(batch)
    shuffle = torch.randperm(len(scores))
    with torch.no_grad():
        torch.testing.assert_close(model.predict(batch[shuffle]), scores[shuffle])
    first = (rows == rows[0]).nonzero()[:, 0]
    user, items = int(batch["user_id"][first[0]]), batch["item_id"][first]
    state, history = next(model._rows(batch[first[:1]]))
    listed = items.sort().values[np.random.default_rng((2020, user)).permutation(len(items))]
    with torch.no_grad():
        prompt = model._prompt(state, history, listed.tolist())
        titles = [model.writer.targets[int(item)] for item in items]
        expected = log_likelihoods(model.llm, prompt, titles, 20, 1.0)
    torch.testing.assert_close(scores[first], expected, atol=1e-4, rtol=1e-4)


def test_the_prompt_tells_nothing_of_the_target(shop: SimpleNamespace) -> None:
    """RecBole lists the target item first; in the prompt its place among the candidates varies."""
    made = build(shop)
    places = []
    model = made.model.eval()
    original = model.writer.write

    def spy(history: Any, candidates: Any) -> Any:
        places.append(list(candidates))
        return original(history, candidates)

    model.writer.write = spy
    targets = []
    for batch, rows, *_ in made.test:
        with torch.no_grad():
            model.predict(batch)
        targets += [int(batch["item_id"][rows == row][0]) for row in rows.unique()]
    found = [candidates.index(target) for candidates, target in zip(places, targets, strict=True)]
    assert len(found) == 24
    assert len(set(found)) > 2


def test_training_candidates_hold_the_target_once_and_nothing_the_user_took(shop: SimpleNamespace) -> None:
    made = build(shop)
    np.random.seed(1)
    drawn = [made.model._drawn([1, 2, 3], 7) for _ in range(50)]
    for items in drawn:
        assert sorted(set(items)) == sorted(items)
        assert len(items) == 5
        assert items.count(7) == 1
        assert not {0, 1, 2, 3} & set(items)
    assert len({items.index(7) for items in drawn}) == 5


def test_a_user_with_one_item(shop: SimpleNamespace) -> None:
    made = build(shop, allmrec_positions="all")
    batch = next(iter(made.train))
    one = batch[batch["item_length"] == 1] if (batch["item_length"] == 1).any() else batch[:1]
    one.interaction["item_length"][:] = 1
    assert torch.isfinite(made.model.calculate_loss(one))


def test_generation_recommends_what_is_written_and_nothing_else(shop: SimpleNamespace) -> None:
    made = build(shop, allmrec_rank_by="generation")
    model = made.model.eval()
    item = next(i for i, title in enumerate(model.titles) if title == '8" nail')
    other = next(i for i, title in enumerate(model.titles) if title == "item 7")
    answers = iter(['8" nail', "something else"])
    import recbole_llminit.model.allmrec.allmrecranker as module

    original, module.greedy = module.greedy, lambda *_: next(answers)
    try:
        state = torch.zeros(model.llm.width)
        assert model._ranked(1, state, [1], sorted([item, other])).tolist() == [
            0.0 if i == item else -np.inf for i in sorted([item, other])
        ]
        assert model._ranked(1, state, [1], [item, other]).tolist() == [-np.inf, -np.inf]
    finally:
        module.greedy = original


def test_an_answer_that_is_no_candidate_is_no_hit(shop: SimpleNamespace) -> None:
    made = build(shop, allmrec_rank_by="generation")
    made.model._ranked = lambda _u, _s, _h, items: torch.full((len(items),), -np.inf)
    assert made.trainer.evaluate(made.test, load_best_model=False)["hit@3"] == 0


def test_titles(shop: SimpleNamespace) -> None:
    made = build(shop)
    tokens = list(made.dataset.field2id_token["item_id"])
    by_token = dict(zip(tokens, made.model.titles, strict=True))
    assert by_token["[PAD]"] == ""
    assert (by_token["i0"], by_token["i1"], by_token["i4"]) == ('8" nail', "No Title", "a b")
    assert by_token["i2"] == by_token["i3"] == "pen"


def test_a_full_ranking_is_ranked_again_at_its_head(shop: SimpleNamespace) -> None:
    """Only the first N items change places; all scores and all other items stay."""
    full = {"eval_args": {**SPLIT, "mode": "full"}, "allmrec_rerank": 6, "candidates_file": None}
    bpr = shop.trained.of("BPR")
    for first in (None, bpr):
        made = build(shop, allmrec_first=first, **full)
        model = made.model.eval()
        batch = next(iter(made.test))[0][:5]
        with torch.no_grad():
            before = model.first.model.full_sort_predict(batch).view(5, -1)
            after = model.full_sort_predict(batch)
        assert type(model.first.model).__name__ == ("BPR" if first else "ALLMRec")
        before[:, 0] = after[:, 0] = 0
        torch.testing.assert_close(before.sort().values, after.sort().values)
        head = before[:, 1:].topk(6).indices
        assert torch.equal(head.sort().values, after[:, 1:].topk(6).indices.sort().values)
        assert not torch.equal(before, after)


def test_what_is_not_told_apart_keeps_its_place(shop: SimpleNamespace) -> None:
    full = {"eval_args": {**SPLIT, "mode": "full"}, "allmrec_rerank": 6, "candidates_file": None}
    model = build(shop, **full).model.eval()
    batch = next(iter(parts("SASRec", shop.world).test))[0][:5]
    before = model.first.model.full_sort_predict(batch).view(5, -1)[:, 1:]
    model._ranked = lambda _u, _s, _h, items: torch.zeros(len(items))
    assert torch.equal(model.full_sort_predict(batch)[:, 1:], before)
    model._ranked = lambda _u, _s, _h, items: torch.arange(len(items), dtype=torch.float)
    head = model.full_sort_predict(batch)[:, 1:].topk(6).indices
    assert torch.equal(head, head.sort(descending=True).values)  # by id, the largest first


def test_same_seed_same_numbers_and_a_fresh_process(shop: SimpleNamespace) -> None:
    own = keys(shop, allmrec_train_users=12, allmrec_eval_users=10)
    first = run("ALLMRecRanker", shop.world, checkpoint_dir="a", **own)
    assert run("ALLMRecRanker", shop.world, checkpoint_dir="b", **own)["test"] == first["test"]
    file = next(Path("a").glob("*.pth"))
    assert file.stat().st_size < 10**5
    _, model, _, train, valid, test = load_data_and_model(str(file))
    assert (len(train._dataset), len(valid._dataset), len(test._dataset)) == (12, 10, 10)
    assert evaluated_afresh(str(file), "ndcg@3") == ["ALLMRecRanker", str(first["test"]["ndcg@3"])]
    with pytest.raises(UserError, match="allmrec_stage1 is not what this checkpoint was trained on"):
        model.load_other_parameter({"stage1_hash": "0" * 64})


def test_resume_goes_on(shop: SimpleNamespace) -> None:
    run("ALLMRecRanker", shop.world, epochs=1, eval_step=0, **keys(shop))
    file = next(Path("saved").glob("*.pth"))
    more = run("ALLMRecRanker", shop.world, epochs=2, eval_step=0, resume=str(file), **keys(shop))
    assert more["epochs"] == 2


def test_a_trained_ranker_is_tested_again_in_another_way(shop: SimpleNamespace) -> None:
    """Nothing is trained if the checkpoint has been trained for all epochs already."""
    own = keys(shop, epochs=1, allmrec_eval_users=8)
    run("ALLMRecRanker", shop.world, **own)
    file = next(Path("saved").glob("*.pth"))
    before = torch.load(file, weights_only=False)["state_dict"]
    again = run("ALLMRecRanker", shop.world, **own, resume=str(file), allmrec_rank_by="generation")
    assert again["config"]["allmrec_rank_by"] == "generation"
    assert again["test"]["hit@3"] <= 1 / 8  # a random model hardly ever writes a title
    after = torch.load(file, weights_only=False)["state_dict"]
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_the_shipped_files_are_taken(shop: SimpleNamespace) -> None:
    """The default prompt and the evaluation in `props/allmrec/ranker.yaml` work."""
    from recbole.config import Config

    import recbole_llminit

    files = [*recbole_llminit.config_files("ALLMRecRanker", "tastes"), str(PROPS / "allmrec" / "ranker.yaml")]
    config = Config("ALLMRecRanker", "tastes", config_file_list=files)
    assert config["test_neg_sample_args"]["sample_num"] == 19
    assert config["eval_args"]["order"] == "TO"
    assert (config["allmrec_history"], config["allmrec_candidates"], config["learning_rate"]) == (
        10,
        20,
        1e-4,
    )
    assert config["train_neg_sample_args"]["distribution"] == "none"
    assert build(shop, allmrec_prompt=config["allmrec_prompt"]).model.writer.longest > 1


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("--allmrec_stage1=gone.pth", "allmrec_stage1 'gone.pth': no such checkpoint"),
        ("--allmrec_stage1=BACKBONE", "allmrec_stage1: a SASRec; expected an ALLMRec"),
        ("--allmrec_llm=gone.gguf", "allmrec_llm 'gone.gguf': no such file"),
        ("--allmrec_llm_dtype=half", "allmrec_llm_dtype 'half' must be one of"),
        ("--allmrec_title=titel", "allmrec_title 'titel'"),
        ("--allmrec_prompt=next:", "must hold {user}, {history}, {candidates}, each once"),
        ("--allmrec_rank_by=liking", "allmrec_rank_by 'liking' must be one of likelihood, generation"),
        ("--allmrec_candidates=60", "a prompt of 60 candidates may take"),
        ("--allmrec_train_users=0", "allmrec_train_users '0'"),
        ("--eval_batch_size=4", "eval_batch_size 4 is less than the 5 candidates that are ranked together"),
        ("--seed=3", "was trained with seed 2020, this run has 3"),
    ],
)
def test_wrong_input(
    extra: str, message: str, shop: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = extra.replace("BACKBONE", shop.trained.of("SASRec"))
    own = {**settings(shop.world), **keys(shop), "candidates_file": "c.jsonl"}
    Path("mine.yaml").write_text(yaml.safe_dump(own))
    argv = ["run", "-m", "ALLMRecRanker", "-d", shop.world.name, "--config_files=mine.yaml", extra]
    assert cli.main(argv) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in line
    assert not list(Path().glob("saved/*.pth"))
