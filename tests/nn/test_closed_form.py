"""Closed-form weights: by hand, beside the textbook formulas, in both precisions, in little memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recbole_llminit.nn import closed_form
from recbole_llminit.nn.closed_form import cease, dtype_for, l3ae, needed_bytes, unit_rows
from recbole_llminit.utils.errors import UserError

# X'X = [[2, 1], [1, 1]]; the two texts point away from each other.
X = sp.csr_matrix(np.array([[1, 1], [1, 0]], dtype=np.float32))
F = np.array([[1], [-1]], dtype=np.float32)


def ease(gram: np.ndarray) -> np.ndarray:
    """EASE of a matrix whose diagonal has the ridge."""
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def l3ae_by_the_book(x: np.ndarray, f: np.ndarray, of_text: float, ridge: float, pull: float) -> np.ndarray:
    eye = np.eye(x.shape[1])
    c, p = ease(f @ f.T + of_text * eye), np.linalg.inv(x.T @ x + (ridge + pull) * eye)
    weights = pull * p @ c - p @ np.diag((1 + pull * np.diag(p @ c)) / np.diag(p))
    np.fill_diagonal(weights, 0)
    return weights


def world(seed: int, users: int = 30, items: int = 17, d: int = 5) -> tuple[sp.csr_matrix, np.ndarray]:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.3, (users, items)).astype(np.float32)
    counts[:, 3] = 0  # nobody has had it
    return sp.csr_matrix(counts), unit_rows(rng.normal(size=(items, d)))


def test_cease_by_hand() -> None:
    """Without text P = [[2, -1], [-1, 3]] / 5; with a text of weight 1 the matrix is diagonal."""
    np.testing.assert_allclose(cease(X, F, 0, 1), [[0, 1 / 3], [1 / 2, 0]])
    np.testing.assert_allclose(cease(X, F, 1, 1), np.zeros((2, 2)), atol=1e-12)
    np.testing.assert_allclose(cease(X, F, 2, 1), [[0, -1 / 5], [-1 / 4, 0]])  # [[5, -1], [-1, 4]]


def test_l3ae_by_hand() -> None:
    """C = [[0, -1], [-1, 0]] / 2, P as above: P C = [[1, -2], [-3, 1]] / 10."""
    expected = [[0, -0.2 + 0.2 * 1.1 / 0.6], [-0.3 + 0.2 * 1.1 / 0.4, 0]]
    np.testing.assert_allclose(l3ae(X, F, (1, 0, 1)), expected)
    np.testing.assert_allclose(l3ae(X, F, (1, -1, 2)), np.zeros((2, 2)), atol=1e-12)


@given(st.integers(0, 99), st.floats(0, 50), st.floats(0.5, 200), st.integers(1, 40))
def test_the_textbook(seed: int, weight: float, ridge: float, d: int) -> None:
    """For fewer and for more text dimensions than items."""
    x, f = world(seed, d=d)
    dense = x.toarray().astype(np.float64)
    expected = ease(dense.T @ dense + weight * f.astype(float) @ f.T + ridge * np.eye(17))
    np.testing.assert_allclose(cease(x, f, weight, ridge), expected, atol=1e-6)
    lambdas = (ridge / 2, -ridge / 4, weight + ridge)
    book = l3ae_by_the_book(dense, f.astype(float), *lambdas)
    np.testing.assert_allclose(l3ae(x, f, lambdas), book, atol=1e-6)


@pytest.mark.parametrize(
    "solve", [lambda x, f: cease(x, f, 20, 100), lambda x, f: l3ae(x, f, (10, -50, 150))]
)
def test_single_precision_and_blocks_agree_with_double(solve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, f = world(1, items=100, users=300)
    double = solve(x, f)
    assert double.dtype == np.float64
    monkeypatch.setattr(closed_form, "_MOST_ITEMS_IN_DOUBLE", 99)
    for rows in (1, 7, 100):
        monkeypatch.setattr(closed_form, "_BLOCK", rows)
        single = solve(x, f)
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, double, atol=1e-6)
    assert not np.diag(single).any()


def test_without_influence_of_the_text_both_are_ease() -> None:
    x, f = world(2)
    dense = x.toarray().astype(np.float64)
    plain = ease(dense.T @ dense + 30 * np.eye(17))
    np.testing.assert_allclose(cease(x, f, 0, 30), plain, atol=1e-12)
    np.testing.assert_allclose(l3ae(x, f, (10, 30, 0)), plain, atol=1e-12)
    np.testing.assert_allclose(l3ae(x, np.zeros_like(f), (10, -20, 50)), plain, atol=1e-12)


def test_an_item_that_nobody_had_is_scored_by_its_text() -> None:
    x, f = world(3)
    assert not cease(x, f, 0, 30)[:, 3].any()
    for weights in (cease(x, f, 20, 30), l3ae(x, f, (10, 0, 30))):
        assert np.corrcoef(np.delete(weights[:, 3], 3), np.delete(f @ f[3], 3))[0, 1] > 0.5


@pytest.mark.parametrize(
    "solve", [lambda x, f: cease(x, f, 20, 100), lambda x, f: l3ae(x, f, (10, -50, 150))]
)
def test_the_matrix_is_solved_in_its_own_memory(solve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_form, "_BLOCK", 32)
    x, f = world(4, items=1200, users=200)
    tracemalloc.start()
    solve(x, f)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < needed_bytes(1200) == 1200**2 * 12


def test_precision_and_memory_by_hand() -> None:
    assert (dtype_for(6_000), dtype_for(6_001)) == (np.float64, np.float32)
    assert (needed_bytes(6_000), needed_bytes(10_000)) == (432_000_000, 1_200_000_000)


def test_a_singular_matrix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_form, "_MOST_ITEMS_IN_DOUBLE", 0)
    with pytest.raises(
        UserError, match="ridge of 1e-12 leaves .* singular in float32; raise reg_weight"
    ) as e:
        cease(sp.csr_matrix(np.ones((4, 2), dtype=np.float32)), F, 0, 1e-12)
    assert "\n" not in str(e.value)


def test_unit_rows_by_hand() -> None:
    """The mean is (2, 0); the last row equals it, as one that stands for a missing vector does."""
    rows = unit_rows(np.array([[5, 4], [-1, -4], [2, 0]], dtype=np.float16))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [-0.6, -0.8], [0, 0]], rtol=1e-6)
    assert rows.dtype == np.float32
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    vectors[7] = np.delete(vectors, 7, axis=0).mean(axis=0)
    assert not unit_rows(vectors)[7].any()
    assert not unit_rows(np.full((3, 4), 0.1, dtype=np.float32)).any()
