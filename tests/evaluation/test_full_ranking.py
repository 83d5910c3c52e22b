"""The full ranking by arrays gives the same batches and metrics as RecBole's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_llminit.evaluation.full_ranking import (
    FullRankingLoader,
    ItemLists,
    ListCollector,
    hits_of,
    top_items,
)
from tests.conftest import World, config_of, parts, settings, write_world


def plain_parts(model: str, world: World, like: Any, **keys: Any) -> SimpleNamespace:
    """Make config, loaders, model and trainer of a plain RecBole run, with RecBole's loader and collector."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    same = {key: like[key] for key in ("eval_args", "repeatable", "metrics", "topk", "valid_metric")}
    config = Config(model, world.name, config_dict={**settings(world), **same, **keys})
    init_seed(config["seed"], True)
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    init_seed(config["seed"], True)
    built = get_model(model)(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, built)
    return SimpleNamespace(config=config, train=train, valid=valid, test=test, model=built, trainer=trainer)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), unique=True), st.lists(st.integers(0, 4)))
def test_item_lists(pairs: list[tuple[int, int]], batch: list[int]) -> None:
    pairs = sorted(pairs)
    users, items = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    lists = ItemLists.from_pairs(users, items, 5)
    rows, found = lists.of(np.array(batch, dtype=np.int64))
    wanted = [(row, i) for row, user in enumerate(batch) for u, i in pairs if u == user]
    assert list(zip(rows.tolist(), found.tolist(), strict=True)) == wanted
    assert all(lists[u].tolist() == [i for v, i in pairs if v == u] for u in range(5))


@pytest.mark.parametrize("protocol", ["masked", "paper"])
@pytest.mark.parametrize("which", ["valid", "test"])
def test_batches_are_recboles(world: World, protocol: str, which: str) -> None:
    from recbole.data.dataloader.general_dataloader import FullSortEvalDataLoader

    run = parts("BPR", world, protocol, users_per_batch=7)
    ours = getattr(run, which)
    assert type(ours) is FullRankingLoader
    theirs = FullSortEvalDataLoader(run.config, ours._dataset, ours._sampler)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine[0]["user_id"].tolist() == other[0]["user_id"].tolist()
        for (rows, items), (their_rows, their_items) in ((mine[1], other[1]), (mine[2:], other[2:])):
            assert sorted(zip(rows.tolist(), items.tolist(), strict=True)) == sorted(
                zip(their_rows.tolist(), their_items.tolist(), strict=True)
            )
    user = int(theirs.uid_list[3])
    assert sorted(ours.uid2history_item[user].tolist()) == sorted(theirs.uid2history_item[user].tolist())
    assert ours.uid2items_num.tolist() == theirs.uid2items_num.tolist()


@given(st.integers(1, 6), st.integers(2, 12), st.integers(0, 10**6))
def test_hits_are_recboles(users: int, items: int, seed: int) -> None:
    """Hits equal those from RecBole's table of users x items; a repeated positive counts once."""
    rng = np.random.default_rng(seed)
    top = torch.from_numpy(np.stack([rng.permutation(items)[: items // 2 + 1] for _ in range(users)]))
    named = rng.integers(0, users * items, size=rng.integers(1, 10))
    rows, columns = torch.from_numpy(named // items), torch.from_numpy(named % items)
    table = torch.zeros(users, items, dtype=torch.int)
    table[rows, columns] = 1
    expected = torch.cat([table.gather(1, top), table.sum(dim=1, keepdim=True)], dim=1)
    assert torch.equal(hits_of(top, rows, columns, items), expected.int())


METRICS = ["Recall", "NDCG", "MRR", "Hit", "Precision", "MAP"]


@pytest.mark.parametrize("model", ["BPR", "EASE", "ItemKNN", "Pop", "LightGCN", "NeuMF", "DMF"])
def test_metrics_of_plain_models_are_recboles(world: World, model: str) -> None:
    from recbole.utils import init_seed

    keys = (
        {"metrics": METRICS, "topk": [1, 5], "eval_batch_size": 4096}
        if model == "Pop"
        else {"metrics": METRICS}
    )
    run = parts(model, world, **keys)
    assert type(run.trainer.eval_collector) is ListCollector
    plain = plain_parts(model, world, run.config, **keys)
    assert type(plain.trainer.eval_collector).__name__ == "Collector"
    for one in (run, plain):
        init_seed(1, True)
        one.trainer.fit(one.train, one.valid, saved=False, verbose=False)
    for which in ("valid", "test"):
        ours, theirs = (
            one.trainer.evaluate(getattr(one, which), load_best_model=False) for one in (run, plain)
        )
        assert ours == theirs


@pytest.mark.parametrize("mode", ["uni10", "full"])
def test_metrics_over_values_go_through_recboles_collector(world: World, mode: str) -> None:
    """GAUC needs the scores of all items, and sampled evaluation uses another loader."""
    from recbole.utils import init_seed

    split = {"LS": "valid_and_test"}
    keys: dict[str, Any] = {"eval_args": {"split": split, "group_by": "user", "order": "RO", "mode": mode}}
    keys["metrics"] = ["Recall", "GAUC"] if mode == "full" else ["Recall", "NDCG"]
    run = parts("BPR", world, **keys)
    plain = plain_parts("BPR", world, run.config, **keys)
    results = []
    for one in (run, plain):
        init_seed(1, True)  # for the same sampled candidates
        results.append(one.trainer.evaluate(one.valid, load_best_model=False))
    assert results[0] == results[1]


def test_metrics_of_coverage_and_popularity(world: World) -> None:
    """RecBole's collector fails on these metrics; their values are computed here from the top lists."""
    metrics = ["ItemCoverage", "AveragePopularity", "ShannonEntropy"]
    run = parts("BPR", world, metrics=["NDCG", *metrics])
    run.trainer.fit(run.train, run.valid, saved=False, verbose=False)
    for _ in range(2):  # the training counts that they need are still there in a second evaluation
        found = run.trainer.evaluate(run.test, load_best_model=False)
    lists = []
    for batch in run.test:
        scores = run.trainer._full_sort_batch_eval(batch)[1]
        lists.append(scores.topk(5).indices)
    top = torch.cat(lists).numpy()
    degrees = np.bincount(run.train._dataset.inter_feat["item_id"].numpy(), minlength=41)
    shares = np.unique(top, return_counts=True)[1] / top.size
    assert found["itemcoverage@5"] == round(len(np.unique(top)) / 41, 4)  # RecBole counts the padding
    assert found["averagepopularity@5"] == pytest.approx(degrees[top].mean(), abs=1e-4)
    assert found["shannonentropy@5"] == pytest.approx(-(shares * np.log(shares)).mean(), abs=1e-4)


def test_what_has_no_score_is_not_recommended(world: World) -> None:
    scores = torch.tensor([[-torch.inf, 3.0, -torch.inf, 4.0, -torch.inf]])
    assert top_items(scores, 4).tolist() == [[3, 1, 0, 0]]
    collector = ListCollector(config_of("BPR", world, metrics=["Recall", "ShannonEntropy"], topk=[1, 4]))
    collector.eval_batch_collect(scores, None, torch.tensor([0]), torch.tensor([2]))
    found = collector.get_data_struct()
    assert found["rec.items"].tolist() == [[3, 1, 0, 0]]
    assert found["rec.topk"].tolist() == [[0, 0, 0, 0, 1]]


def test_case_study_reads_histories(world: World) -> None:
    from recbole.utils.case_study import full_sort_topk

    run = parts("BPR", world)
    _, top = full_sort_topk(np.array([1, 2]), run.model, run.test, k=5)
    assert not set(top[0].tolist()) & set(run.test.uid2history_item[1].tolist())


def test_a_sequential_model_keeps_recboles_batches(world: World) -> None:
    keys = {"MAX_ITEM_LIST_LENGTH": 5, "train_neg_sample_args": None, "n_layers": 1, "n_heads": 2}
    run = parts("SASRec", world, **keys)
    columns = {"inter": ["user_id", "item_id", "timestamp"]}
    plain = plain_parts("SASRec", world, run.config, **keys, load_col=columns)
    plain.model.load_state_dict(run.model.state_dict())
    for which in ("valid", "test"):
        ours, theirs = (
            one.trainer.evaluate(getattr(one, which), load_best_model=False) for one in (run, plain)
        )
        assert ours == theirs


def test_collected_once(world: World) -> None:
    collector = ListCollector(config_of("BPR", world))
    for _ in range(2):
        collector.eval_batch_collect(torch.rand(3, 9), None, torch.arange(3), torch.tensor([1, 2, 3]))
    assert collector.get_data_struct()["rec.topk"].shape == (6, 6)
    collector.eval_batch_collect(torch.rand(3, 9), None, torch.arange(3), torch.tensor([1, 2, 3]))
    assert collector.get_data_struct()["rec.topk"].shape == (3, 6)


@pytest.mark.parametrize("model", ["SGCL", "LLMInitSGCL"])
def test_a_catalogue_of_one_item(tmp_path: Path, model: str) -> None:
    """All users have the item three times; without masking, it is at the top of every list."""
    world = write_world(tmp_path / "data", "one", [(user, 0) for user in range(5)] * 3, np.ones((1, 8)))
    keys = {"topk": [1], "valid_metric": "NDCG@1", "embedding_size": 4, "metrics": ["Recall", "NDCG"]}
    run = parts(model, world, "paper", **keys)
    run.trainer.fit(run.train, run.valid, saved=False, verbose=False)
    assert run.trainer.evaluate(run.test, load_best_model=False)["recall@1"] == 1
