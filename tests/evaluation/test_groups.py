"""Metrics by group equal values by hand, and over all users RecBole's metrics."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import recbole.config  # noqa: F401  RecBole's metrics need the NumPy aliases that it sets
import scipy.sparse as sp

from recbole_llminit.evaluation.groups import BUCKETS, Ranking, _buckets, group_metrics, values_by_user
from recbole_llminit.run.diagnostics import check, users_file
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, config_of, run

# Three users (rows 0..2) and items 1..6: the target items are 1 and 2 in row 0, 3 in row 1, 6 in row 2.
RANKING = Ranking(
    users=np.array([1, 2, 3]),
    top=np.array([[1, 5, 2], [4, 3, 1], [1, 2, 3]]),
    rows=np.array([0, 0, 1, 2]),
    positives=np.array([1, 2, 3, 6]),
)


class FakeConfig(SimpleNamespace):
    def __getitem__(self, key: str) -> Any:
        return self.final_config_dict[key]


CONFIG = FakeConfig(
    final_config_dict={
        "metrics": ["Recall", "NDCG", "MRR", "Precision", "GAUC"],
        "topk": [1, 3],
        "metric_decimal_place": 4,
    }
)


def test_values_by_hand() -> None:
    values = values_by_user(RANKING, CONFIG)
    assert set(values) == {f"{m}@{k}" for m in ("recall", "ndcg", "mrr", "precision") for k in (1, 3)}
    assert values["recall@1"].tolist() == [0.5, 0, 0]
    assert values["recall@3"].tolist() == [1, 1, 0]
    assert values["precision@3"] == pytest.approx([2 / 3, 1 / 3, 0])
    second, third = 1 / np.log2(3), 1 / np.log2(4)
    assert values["ndcg@3"] == pytest.approx([(1 + third) / (1 + second), second, 0])


def test_only_wanted_items_count_as_found() -> None:
    """Without item 1, the only target item of row 0 is item 2, at rank 3; the other rows do not change."""
    wanted = np.array([False, False, True, True, True, True, True])
    values = values_by_user(RANKING, CONFIG, wanted)
    assert values["mrr@3"] == pytest.approx([1 / 3, 1 / 2, 0])
    only_six = np.arange(7) == 6
    assert np.isnan(values_by_user(RANKING, CONFIG, only_six)["recall@3"]).tolist() == [True, True, False]


def test_groups_by_hand() -> None:
    """In training, user 1 has items 1..5, user 2 has item 1, user 3 has none; no user has item 6."""
    train = sp.csr_matrix(([1] * 6, ([1, 1, 1, 1, 1, 2], [1, 2, 3, 4, 5, 1])), shape=(4, 7))
    rows = {
        (row["by"], row["group"]): (row["users"], row["metrics"])
        for row in group_metrics(RANKING, train, CONFIG)
    }
    assert rows["all", "all"][1]["recall@3"] == pytest.approx(2 / 3)
    for bucket, first in (("5-9", 0.5), ("1-4", 0.0)):  # user 1, user 2
        users, metrics = rows["user activity", bucket]
        assert (users, metrics["recall@1"], metrics["recall@3"]) == (1, first, 1)
    assert rows["user activity", "0"] == (1, dict.fromkeys(rows["all", "all"][1], 0.0))
    assert rows["items", "warm"][0] == 2
    assert rows["items", "cold"][1]["recall@3"] == 0
    assert rows["item popularity", "1-4"][0] == 2
    assert ("item popularity", "20-49") not in rows


def test_buckets_hold_everybody_once() -> None:
    counts = np.arange(200)
    inside = np.stack([members for _, members in _buckets(counts)])
    assert (inside.sum(axis=0) == 1).all()
    assert [name for name, _ in _buckets(counts)] == ["0", "1-4", "5-9", "10-19", "20-49", "50+"]
    assert len(BUCKETS) == 6


@pytest.mark.parametrize(
    ("model", "protocol"),
    [("LLMInitSGCL", "masked"), ("LLMInitSGCL", "paper"), ("ItemKNN", "masked"), ("SASRec", "sequential")],
)
def test_the_whole_is_recboles_result(world: World, model: str, protocol: str) -> None:
    result = run(model, world, protocol, group_metrics=True, save_users=True)
    by = {(row["by"], row["group"]): row for row in result["groups"]}
    whole = by["all", "all"]["metrics"]
    assert {name: round(value, 4) for name, value in whole.items()} == pytest.approx(result["test"])
    users = pd.read_parquet(users_file(Path("result.json")))
    assert len(users) == by["all", "all"]["users"] == 60
    assert users["ndcg@5"].mean() == pytest.approx(whole["ndcg@5"])
    activity = [row for row in result["groups"] if row["by"] == "user activity"]
    assert sum(row["users"] for row in activity) == 60
    mean = sum(row["users"] * row["metrics"]["recall@5"] for row in activity) / 60
    assert mean == pytest.approx(whole["recall@5"])


def test_users_are_named_by_tokens(world: World) -> None:
    run("LLMInitBPR", world, save_users=True)
    users = pd.read_parquet("result.users.parquet").set_index("user")
    lines = [line.split("\t")[:2] for line in (world.root / "tastes/tastes.inter").read_text().splitlines()]
    bought = {item for user, item in lines[1:] if user == "u7"}
    row = users.loc["u7"]
    assert len(row["history"]) == 8
    assert set(row["history"]) | set(row["positives"]) < bought
    assert not set(row["top"]) & set(row["history"])  # masked
    assert row["recall@5"] == float(row["positives"][0] in list(row["top"])[:5])


def test_nothing_masked_is_shown_where_the_catalogue_ends(board: World) -> None:
    """Of 12 items, 4 are a user's training and 1 is the validation's: 7 are listed, without padding."""
    run("BPR", board, topk=[1, 12], valid_metric="NDCG@12", save_users=True)
    users = pd.read_parquet("result.users.parquet")
    everything = set(board.tokens)
    for _, row in users.iterrows():
        left = everything - set(row["history"])
        assert set(row["top"]) <= left
        assert len(row["top"]) == len(set(row["top"])) == 7


@pytest.mark.parametrize("model", ["LLMInitBPR", "SASRec"])
def test_batches_do_not_matter(world: World, model: str) -> None:
    found = [
        run(
            model,
            world,
            group_metrics=True,
            save_users=True,
            users_per_batch=size,
            result_file=f"{size}.json",
        )
        for size in (60, 7)
    ]
    assert found[0]["groups"] == [
        {**row, "metrics": pytest.approx(row["metrics"])} for row in found[1]["groups"]
    ]
    tables = [pd.read_parquet(f"{size}.users.parquet") for size in (60, 7)]
    pd.testing.assert_frame_equal(*tables)


def test_a_sampled_test_has_no_groups(world: World) -> None:
    split = {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "RO", "mode": "uni10"}
    with pytest.raises(UserError, match="group_metrics needs a full ranking; eval_args has mode uni10"):
        check(config_of("BPR", world, eval_args=split, group_metrics=True))
    with pytest.raises(UserError, match="save_users writes beside result_file"):
        check(config_of("BPR", world, save_users=True))
