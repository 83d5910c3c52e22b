"""The adjacency and its propagation equal dense algebra."""

from __future__ import annotations

import copy

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_llminit.nn.adjacency import normalized_adjacency
from recbole_llminit.nn.propagation import Graph, layers, propagate

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=30)


def matrix(pairs: list[tuple[int, int]]) -> sp.coo_matrix:
    index = tuple(np.array(pairs, dtype=int).reshape(-1, 2).T)
    return sp.coo_matrix((np.ones(len(pairs)), index), shape=(5, 7))


@settings(max_examples=50, deadline=None)
@given(PAIRS)
def test_adjacency_equals_the_dense_formula(pairs: list[tuple[int, int]]) -> None:
    """Repeated pairs are one edge, isolated nodes are empty rows, and there is no NaN."""
    edges = np.minimum(matrix(pairs).toarray(), 1)
    dense = np.block([[np.zeros((5, 5)), edges], [edges.T, np.zeros((7, 7))]])
    scale = (dense.sum(axis=1) + 1e-7) ** -0.5
    expected = scale[:, None] * dense * scale
    np.testing.assert_allclose(normalized_adjacency(matrix(pairs)).toarray(), expected, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(PAIRS, st.integers(0, 3))
def test_propagation_and_its_gradient_equal_dense_algebra(
    pairs: list[tuple[int, int]], n_layers: int
) -> None:
    adjacency = normalized_adjacency(matrix(pairs))
    dense = torch.from_numpy(adjacency.toarray())
    x = torch.randn(12, 3, requires_grad=True)
    weight = torch.randn(12, 3)
    (propagate(Graph.from_scipy(adjacency), x, n_layers) * weight).sum().backward()
    mine, x.grad = x.grad, None
    powers = [torch.linalg.matrix_power(dense, layer) @ x for layer in range(n_layers + 1)]
    (torch.stack(powers).mean(dim=0) * weight).sum().backward()
    torch.testing.assert_close(mine, x.grad)


def test_a_graph_for_each_layer() -> None:
    one = Graph.from_scipy(sp.identity(2) * 2)
    two = Graph.from_scipy(sp.identity(2) * 3)
    outputs = layers([one, two], torch.ones(2, 1), 2)
    assert [output[0].item() for output in outputs] == [1, 2, 6]


def test_a_copy_shares_the_graph() -> None:
    graph = Graph.from_scipy(sp.identity(2))
    assert copy.deepcopy({"graph": graph})["graph"] is graph


def test_mixed_precision_leaves_the_graph_in_single_precision() -> None:
    x = torch.randn(2, 3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = Graph.from_scipy(sp.identity(2)) @ (x @ torch.eye(3))  # the dense product is bfloat16
        output.sum().backward()
    assert output.dtype == torch.float32
    torch.testing.assert_close(x.grad, torch.ones(2, 3))


@settings(max_examples=20, deadline=None)
@given(PAIRS, PAIRS)
def test_propagation_over_several_graphs_equals_dense_algebra(
    one: list[tuple[int, int]], two: list[tuple[int, int]]
) -> None:
    """SGL's random walk draws a graph for each layer; their product is not symmetric."""
    adjacencies = [normalized_adjacency(matrix(pairs)) for pairs in (one, two)]
    a, b = (torch.from_numpy(adjacency.toarray()) for adjacency in adjacencies)
    x = torch.randn(12, 3, requires_grad=True)
    weight = torch.randn(12, 3)
    mine = propagate([Graph.from_scipy(adjacency) for adjacency in adjacencies], x, 2)
    expected = (x + a @ x + b @ a @ x) / 3
    torch.testing.assert_close(mine, expected)
    gradients = [torch.autograd.grad((output * weight).sum(), x)[0] for output in (mine, expected)]
    torch.testing.assert_close(*gradients)
