"""Pooled user vectors equal hand-computed ones."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_llminit.initialize import pooling
from recbole_llminit.initialize.pooling import pool

ITEMS = np.array([[0, 0], [1, 4], [3, 2], [5, -6]], dtype=np.float32)
# User 0 is padding, user 1 has items 1 and 2, user 2 has item 3 twice and item 1, user 3 has no item.
PAIRS = [(1, 1), (1, 2), (2, 3), (2, 3), (2, 1)]
MATRIX = sp.csr_matrix((np.ones(5), tuple(zip(*PAIRS, strict=True))), shape=(4, 4))


def test_mean_counts_repeated_interactions() -> None:
    np.testing.assert_allclose(pool(MATRIX, ITEMS, "mean"), [[0, 0], [2, 3], [11 / 3, -8 / 3], [0, 0]])


def test_max_is_elementwise() -> None:
    np.testing.assert_allclose(pool(MATRIX, ITEMS, "max"), [[0, 0], [3, 4], [5, 4], [0, 0]])


def test_lightgcn_is_one_normalised_hop() -> None:
    """Degrees: user 1 has 2, user 2 has 3; items 1, 2, 3 have 2, 1, 2."""
    one = ITEMS[1] / np.sqrt(2 * 2) + ITEMS[2] / np.sqrt(2 * 1)
    two = 2 * ITEMS[3] / np.sqrt(3 * 2) + ITEMS[1] / np.sqrt(3 * 2)
    np.testing.assert_allclose(pool(MATRIX, ITEMS, "lightgcn"), [[0, 0], one, two, [0, 0]], rtol=1e-6)


def test_none_is_the_hosts_business() -> None:
    with pytest.raises(ValueError, match="leaves users to the host"):
        pool(MATRIX, ITEMS, "none")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5)), max_size=40),
    st.sampled_from(["mean", "max", "lightgcn"]),
    st.integers(1, 9),
)
def test_any_matrix_gives_what_a_loop_gives(pairs: list[tuple[int, int]], how: str, at_once: int) -> None:
    items = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    matrix = sp.coo_matrix(
        (np.ones(len(pairs)), tuple(np.array(pairs, dtype=int).reshape(-1, 2).T)), shape=(8, 6)
    )
    counts = matrix.toarray()
    expected = np.zeros((8, 3))
    for user in np.flatnonzero(counts.sum(axis=1)):
        own = counts[user]
        if how == "mean":
            expected[user] = own @ items / own.sum()
        elif how == "max":
            expected[user] = items[own > 0].max(axis=0)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                scaled = np.where(own > 0, own / np.sqrt(own.sum() * counts.sum(axis=0)), 0)
            expected[user] = scaled @ items
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooling, "_ROWS_AT_ONCE", at_once)
        np.testing.assert_allclose(pool(sp.csr_matrix(matrix), items, how), expected, atol=1e-5)
