"""Singular values and effective rank equal values by hand and are in the result file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from recbole_llminit.evaluation.spectrum import effective_rank, table_statistics
from tests.conftest import World, run


def test_effective_rank_by_hand() -> None:
    assert effective_rank(np.array([3.0, 3.0, 3.0, 3.0])) == pytest.approx(4)
    assert effective_rank(np.array([5.0, 0.0, 0.0])) == pytest.approx(1)
    # Shares 3/4 and 1/4: exp(-(3/4 ln 3/4 + 1/4 ln 1/4)) = 4 / 27 ** (1/4)
    assert effective_rank(np.array([3.0, 1.0])) == pytest.approx(4 / 27**0.25)
    assert effective_rank(np.zeros(3)) == 0


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=20), st.floats(0.1, 10))
def test_effective_rank_is_bounded_and_knows_no_scale(values: list[float], scale: float) -> None:
    spectrum = np.array(values)
    rank = effective_rank(spectrum)
    assert 1 - 1e-9 <= rank <= len(values) + 1e-9
    assert effective_rank(scale * spectrum) == pytest.approx(rank)


def test_tables_without_their_padding() -> None:
    model = nn.Module()
    model.item_embedding = nn.Embedding(4, 2)
    with torch.no_grad():
        model.item_embedding.weight[:] = torch.tensor([[9.0, 9.0], [2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    found = table_statistics(model)
    assert list(found) == ["item_embedding"]
    assert found["item_embedding"]["shape"] == [3, 2]
    assert found["item_embedding"]["singular_values"] == pytest.approx([2, 1])


def test_result_file(world: World) -> None:
    result = run("LLMInitLightGCN", world, table_statistics=True)
    assert {name: table["shape"] for name, table in result["tables"].items()} == {
        "user_embedding": [60, 8],
        "item_embedding": [40, 8],
    }
    assert 1 <= result["tables"]["item_embedding"]["effective_rank"] <= 8
    assert result["curve"]["epochs"] == [0, 1]
    assert result["curve"]["metric"] == "ndcg@5"
    assert max(result["curve"]["valid"]) == pytest.approx(result["valid"]["ndcg@5"])
    assert len(result["curve"]["loss"]) == 2
    assert run("ItemKNN", world, table_statistics=True)["tables"] == {}


def test_curve_of_every_second_epoch(world: World) -> None:
    result = run("BPR", world, epochs=5, eval_step=2)
    assert result["curve"]["epochs"] == [1, 3]
    assert len(result["curve"]["loss"]) == 5
