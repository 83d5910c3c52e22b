"""ALLMRec: a frozen backbone, aligned item and text vectors, and items without training interactions."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from recbole_llminit import cli
from recbole_llminit.pretrained.adapters import adapt
from recbole_llminit.pretrained.checkpoint import load_frozen
from recbole_llminit.utils.errors import UserError
from tests.conftest import Trained, World, evaluated_afresh, novelties, parts, run, settings

BACKBONES = ("SASRec", "GRU4Rec", "NextItNet", "BPR", "NeuMF", "LightGCN")


@pytest.fixture
def made(trained: Trained) -> Any:
    return parts("ALLMRec", trained.world, allmrec_backbone=trained.of("SASRec"), learning_rate=0.01)


@pytest.mark.parametrize("match", ["mse", "infonce"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_contract(backbone: str, match: str, trained: Trained) -> None:
    """The loss falls, and single scores agree with the full ranking."""
    keys = {"allmrec_backbone": trained.of(backbone), "allmrec_match": match, "learning_rate": 0.01}
    made = parts("ALLMRec", trained.world, **keys)
    first = next(iter(made.train))
    before = sum(made.model.calculate_loss(first)).item()
    for epoch in range(20):
        made.trainer._train_epoch(made.train, epoch)
    assert sum(made.model.calculate_loss(first)).item() < before
    model = made.model.eval()
    batch = next(iter(made.test))[0]
    full = model.full_sort_predict(batch)
    assert full.shape == (len(batch), 41)
    items = torch.arange(len(batch)) % 40 + 1
    pairs = copy.deepcopy(batch)
    pairs.interaction["item_id"] = items
    torch.testing.assert_close(model.predict(pairs), full[torch.arange(len(batch)), items])


def test_its_adapter_gives_its_scores(made: Any) -> None:
    made.trainer._train_epoch(made.train, 0)
    model = made.model.eval()
    batch = next(iter(made.test))[0]
    read = adapt(model, "a_key")
    torch.testing.assert_close(
        read.states(batch) @ read.items.T[:, 1:], model.full_sort_predict(batch)[:, 1:]
    )


def test_the_frozen_model_is_neither_saved_nor_trained(made: Any) -> None:
    names = {name.split(".")[0] for name in made.model.state_dict()}
    assert names == {"alignment"}
    known = {id(parameter) for group in made.trainer.optimizer.param_groups for parameter in group["params"]}
    assert known == {id(parameter) for parameter in made.model.parameters()}
    before = made.model.item_vectors.clone()
    batch = next(iter(made.test))[0]
    states = made.model.users(batch).clone()
    made.trainer._train_epoch(made.train, 0)
    assert torch.equal(made.model.item_vectors, before)
    assert torch.equal(made.model.users(batch), states)


def test_it_is_the_trained_backbone_that_is_bridged(made: Any, trained: Trained) -> None:
    frozen = load_frozen(made.config, "allmrec_backbone", made.dataset)
    assert torch.equal(made.model.item_vectors[1:], frozen.model.item_embedding.weight[1:])
    assert made.model.backbone_hash == frozen.hash


def test_gradients_reach_every_part_and_no_other(made: Any) -> None:
    sum(made.model.calculate_loss(next(iter(made.train)))).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in made.model.parameters())
    assert not made.model.item_vectors.requires_grad
    assert not made.model.text_vectors.requires_grad


def test_terms_weigh_as_they_are_told(made: Any, trained: Trained) -> None:
    """With alpha and beta at zero, the terms of matching and recommendation are unchanged, the others zero."""
    keys = {"allmrec_backbone": trained.of("SASRec"), "allmrec_alpha": 0.0, "allmrec_beta": 0.0}
    bare = parts("ALLMRec", trained.world, **keys)
    bare.model.load_state_dict(made.model.state_dict())
    batch = next(iter(made.train))
    losses = []
    for model in (made.model, bare.model):
        torch.manual_seed(1)
        losses.append([term.item() for term in model.calculate_loss(batch)])
    assert losses[1][1:3] == [0.0, 0.0]
    assert losses[0][1] > 0
    assert losses[0][2] > 0
    assert (losses[0][0], losses[0][3]) == (losses[1][0], losses[1][3])


def test_warm_items_speak_for_themselves_and_cold_ones_by_their_text(made: Any) -> None:
    model = made.model.eval()
    ids = torch.arange(41)
    encoders = model.alignment.item_encoder, model.alignment.text_encoder
    e, q = encoders[0](model.item_vectors), encoders[1](model.text_vectors)
    for cold, expected in ((-1, e), (10**6, q)):
        model.cold = cold
        assert torch.equal(model.joint(ids), expected)
    model.cold = int(model.degrees[1:].median())
    assert torch.equal(model.joint(ids), torch.where((model.degrees <= model.cold).unsqueeze(1), q, e))


def test_padding_has_neither_vector_nor_gradient(made: Any) -> None:
    assert not made.model.item_vectors[0].any()
    assert not made.model.text_vectors[0].any()
    assert made.model.degrees[0] == 0


def test_a_negative_is_an_item_of_the_training(made: Any) -> None:
    made.model.degrees = made.model.degrees.clone()
    made.model.degrees[5:] = 0
    made.model.trained = made.model.degrees.nonzero()[:, 0]
    drawn = made.model._known(torch.arange(1, 41))
    assert drawn[:4].tolist() == [1, 2, 3, 4]
    assert ((drawn >= 1) & (drawn < 5)).all()


@pytest.fixture(scope="module")
def new_items(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("novelties")
    return Trained(novelties(folder / "data"), folder)


PLANTED: dict[str, Any] = {"topk": [10], "valid_metric": "NDCG@10", "embedding_size": 16, "hidden_size": 16}
LONG = {
    "epochs": 40,
    "eval_step": 0,
    "learning_rate": 0.003,
    "allmrec_positions": "all",
    "train_batch_size": 32,
}


@pytest.mark.slow  # 40 epochs
@pytest.mark.parametrize("match", ["mse", "infonce"])
def test_new_items_are_found_by_their_text_alone(match: str, new_items: Trained) -> None:
    """Every target item is new: the backbone finds few of them, texts find most, shuffled texts find few."""
    backbone = new_items.of("BPR", epochs=30, learning_rate=0.01, **PLANTED)
    alone = run("BPR", new_items.world, "sequential", epochs=30, learning_rate=0.01, **PLANTED)["test"]
    keys = {**PLANTED, **LONG, "allmrec_backbone": backbone, "allmrec_match": match}
    bridged = run("ALLMRec", new_items.world, **keys)["test"]["recall@10"]
    swapped = run("ALLMRec", new_items.world, llm_shuffle_items=True, **keys)["test"]["recall@10"]
    blind = run("ALLMRec", new_items.world, allmrec_cold=-1, **keys)["test"]["recall@10"]
    assert bridged > 0.5  # a random ranking has 10 of 60
    assert max(alone["recall@10"], blind, swapped) < bridged / 2


def test_same_seed_same_numbers_and_a_fresh_process(trained: Trained) -> None:
    keys = {"allmrec_backbone": trained.of("SASRec"), "allmrec_dropout": 0.2, "allmrec_mlp_layers": [12, 10]}
    first = run("ALLMRec", trained.world, checkpoint_dir="a", **keys)
    assert run("ALLMRec", trained.world, checkpoint_dir="b", **keys)["test"] == first["test"]
    file = next(Path("a").glob("*.pth"))
    assert evaluated_afresh(str(file), "ndcg@5") == ["ALLMRec", str(first["test"]["ndcg@5"])]


def test_a_checkpoint_knows_its_backbone(made: Any, trained: Trained) -> None:
    made.model.load_other_parameter(made.model.other_parameter())
    with pytest.raises(UserError, match="allmrec_backbone is not what this checkpoint was"):
        made.model.load_other_parameter({"backbone_hash": "0" * 64})


def test_a_checkpoint_knows_its_vectors(made: Any) -> None:
    saved = made.model.other_parameter()
    assert saved["llm_vectors_hash"] == made.model.llm_vectors_hash is not None
    with pytest.raises(UserError, match="llm_embedding is not what this checkpoint was trained on"):
        made.model.load_other_parameter({**saved, "llm_vectors_hash": "0" * 64})


def test_the_catalogue_is_computed_once_while_nothing_is_trained(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, computed = made.model.eval(), []
    joint = model.joint
    monkeypatch.setattr(model, "joint", lambda ids: computed.append(len(ids)) or joint(ids))
    users = next(iter(made.test))[0]
    with torch.no_grad():
        scores = model.full_sort_predict(users)
        torch.testing.assert_close(model.full_sort_predict(users), scores)
        assert len(computed) == 1
        for parameter in model.alignment.parameters():
            parameter.mul_(2)
        model.eval()  # as a trainer does before it ranks
        assert not torch.allclose(model.full_sort_predict(users), scores)
    assert model.full_sort_predict(users).requires_grad  # scores with a gradient are not cached


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("--allmrec_backbone=gone.pth", "allmrec_backbone 'gone.pth': no such checkpoint"),
        ("--allmrec_match=msee", "allmrec_match 'msee' must be one of mse, infonce. Did you mean 'mse'"),
        ("--allmrec_temperature=0", "allmrec_temperature '0' must be a number from"),
        ("--allmrec_mlp_layers=64", "must be a list of widths"),
        ("--allmrec_latent=0.5", "must be a whole number of at least 1"),
        ("--allmrec_positions=first", "allmrec_positions 'first' must be one of last, all"),
        ("--llm_embedding=none", "needs vectors of the items' text"),
        ("--llm_embedding=other.safetensors", "llm_embedding 'other.safetensors': no such file"),
        ("--protocol=masked", "only support repeatable"),
        ("--seed=3", "was trained with seed 2020, this run has 3"),
    ],
)
def test_wrong_input(
    extra: str,
    message: str,
    trained: Trained,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keys = {**settings(trained.world), "topk": "[1,5]", "allmrec_backbone": trained.of("SASRec")}
    flags = [f"--{key}={value}" for key, value in keys.items() if not extra.startswith(f"--{key}=")]
    assert cli.main(["run", "-m", "ALLMRec", "-d", trained.world.name, *flags, extra]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in line
    assert not list(Path().glob("saved/*.pth"))


def test_vectors_of_another_dataset(
    trained: Trained, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    file = world.table("theirs", ids=tuple(f"x{i}" for i in range(40)))
    keys = {**settings(trained.world), "topk": "[1,5]", "allmrec_backbone": trained.of("SASRec")}
    flags = [f"--{key}={value}" for key, value in {**keys, "llm_embedding": file}.items()]
    assert cli.main(["run", "-m", "ALLMRec", "-d", trained.world.name, *flags]) == 2
    assert "none of the 40 items has a vector" in capsys.readouterr().err
