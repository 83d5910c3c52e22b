"""Propagation to some nodes gives the same vectors as propagation over the whole graph."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_llminit.nn import receptive_field as module
from recbole_llminit.nn.adjacency import normalized_adjacency
from recbole_llminit.nn.propagation import Graph, propagate
from recbole_llminit.nn.receptive_field import propagate_to, receptive_field
from tests.conftest import World, parts
from tests.nn.test_graph import PAIRS, matrix

WORTHS = [0.0, 0.3, 0.5, 1.0]  # 0 always takes the whole graph, 1 always a part of it


@given(
    PAIRS,
    st.integers(0, 3),
    st.lists(st.integers(0, 11), min_size=1, max_size=8),
    st.sampled_from(WORTHS),
)
def test_values_and_gradients(
    pairs: list[tuple[int, int]], n_layers: int, rows: list[int], worth: float
) -> None:
    """Values and gradients are right for repeated and isolated nodes too, by either way."""
    graph = Graph.from_scipy(normalized_adjacency(matrix(pairs)))
    x = torch.randn(12, 3, requires_grad=True)
    wanted, weight = torch.tensor(rows), torch.randn(len(rows), 6)
    expected = torch.cat([propagate(graph, x, n_layers)[wanted], x[wanted]], dim=1)
    (of_x,) = torch.autograd.grad((expected * weight).sum(), x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WORTH", worth)
        found = torch.cat(propagate_to(graph, x, n_layers, wanted), dim=1)
        (found_of_x,) = torch.autograd.grad((found * weight).sum(), x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_of_x, of_x)


def path(n: int) -> sp.csr_matrix:
    """Return the adjacency of a path 0 - 1 - 2 ..."""
    return sp.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1], format="csr", dtype=np.float32)


def test_the_field_is_what_the_hops_reach() -> None:
    field = receptive_field(Graph.from_scipy(path(100)), np.array([10, 50]), 2)
    assert [None if nodes is None else nodes.tolist() for nodes in field.nodes] == [
        [10, 50],
        [9, 10, 11, 49, 50, 51],
        [8, 9, 10, 11, 12, 48, 49, 50, 51, 52],
    ]
    assert [tuple(hop.shape) for hop, _ in field.hops] == [(2, 6), (6, 10)]
    assert [hop._nnz() for hop, _ in field.hops] == [4, 12]


def test_the_whole_graph_is_taken_once_a_set_holds_most_of_it() -> None:
    graph = Graph.from_scipy(path(100))
    assert receptive_field(graph, np.arange(60), 2).nodes == (None, None, None)
    few, *others = receptive_field(graph, np.arange(0, 100, 3), 2).nodes
    assert few is not None
    assert others == [None, None]
    part = receptive_field(graph, np.arange(0, 100, 3), 2)
    assert [tuple(hop.shape) for hop, _ in part.hops] == [(34, 100), (100, 100)]
    assert part.hops[1][0] is graph.matrix


@pytest.mark.parametrize("model", ["LLMInitLightGCN", "SGCL"])
def test_training_is_the_same(model: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = []
    for worth in (0.0, 0.3, 1.0):
        monkeypatch.setattr(module, "_WORTH", worth)
        run = parts(model, world)
        losses.append([run.trainer._train_epoch(run.train, epoch) for epoch in range(3)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] == pytest.approx(losses[2], rel=1e-5)
