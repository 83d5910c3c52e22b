"""Which training rows ALLMRec keeps, and how it counts the training interactions of each item."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from recbole_llminit.model.allmrec.dataset import last_rows
from tests.conftest import Trained, parts


@given(st.lists(st.integers(1, 5), min_size=1))
def test_the_last_row_of_each_user(users: list[int]) -> None:
    rows = last_rows(np.array(users))
    assert sorted(set(users)) == sorted(users[row] for row in rows)
    assert all(users[row] not in users[row + 1 :] for row in rows)
    assert list(rows) == sorted(rows)


@pytest.mark.parametrize("positions", ["last", "all"])
def test_degrees_count_the_training_interactions_alone(positions: str, trained: Trained) -> None:
    made = parts("ALLMRec", trained.world, allmrec_backbone=trained.of("SASRec"), allmrec_positions=positions)
    lines = (trained.world.root / "tastes" / "tastes.inter").read_text().splitlines()[1:]
    by_user: dict[str, list[str]] = {}
    for user, item, _ in (line.split("\t") for line in lines):
        by_user.setdefault(user, []).append(item)
    count = Counter(item for items in by_user.values() for item in items[:-2])
    tokens = made.dataset.field2id_token["item_id"]
    assert made.model.degrees.tolist() == [count[token] for token in tokens]
    rows = made.train._dataset.inter_feat
    assert len(rows) == {"last": 60, "all": 60 * 7}[positions]  # ten items: two held out, one without history
    if positions == "last":
        targets = {user: items[-3] for user, items in by_user.items()}
        users = made.dataset.field2id_token["user_id"][rows["user_id"]]
        assert [targets[user] for user in users] == list(tokens[rows["item_id"]])
