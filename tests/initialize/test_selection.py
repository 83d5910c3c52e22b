"""Selections equal hand-computed matrices, and keep the properties their names promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recbole_llminit.initialize.selection import fit, popular_items
from recbole_llminit.initialize.settings import Selection
from recbole_llminit.utils.errors import UserError

VECTORS = np.array([[1, 0, 5, 2], [1, 4, 5, 0], [1, 0, 9, 4], [1, 4, 5, 2]], dtype=np.float32)
COLUMNS = ("var", "rand", "uni", "prefix", "rand_with_replacement")
FINITE = st.floats(-10, 10, width=32)
MATRICES = st.tuples(st.integers(2, 9), st.integers(2, 7)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=FINITE)
)


def rows_of(vectors: np.ndarray, k: int, how: Selection | str, **keys: Any) -> np.ndarray:
    """Return the rows of vectors, given by a start that was fitted on the same vectors and interactions."""
    return fit(vectors, k, how, **{"train_matrix": interactions(len(vectors)), **keys}).of_catalogue(vectors)


def interactions(n_items: int) -> sp.csr_matrix:
    """Five users; the first of them, and the last item, have no interactions."""
    counts = np.arange(5 * n_items).reshape(5, n_items) % 3 % 2
    counts[0], counts[:, -1] = 0, 0
    return sp.csr_matrix(counts.astype(float))


@pytest.mark.parametrize(
    ("how", "k", "columns"),
    [
        ("var", 2, [1, 2]),
        ("var", 3, [1, 2, 3]),
        ("uni", 2, [0, 2]),
        ("uni", 3, [0, 1, 2]),
        ("prefix", 2, [0, 1]),
    ],
)
def test_columns_by_hand(how: str, k: int, columns: list[int]) -> None:
    """Variances are 0, 4, 3 and 2; uniform steps are floor(4 / k)."""
    np.testing.assert_array_equal(rows_of(VECTORS, k, how), VECTORS[:, columns])


def test_variance_over_a_scope() -> None:
    """Over rows 0 and 2 only columns 2 (variance 4) and 3 (variance 1) vary."""
    kept = rows_of(
        VECTORS, 2, "var", scope="popular", train_matrix=sp.csr_matrix([[3, 0, 0, 1], [1, 0, 2, 0]])
    )
    np.testing.assert_array_equal(kept, VECTORS[:, [2, 3]])


def test_popular_items_count_the_padding_item() -> None:
    degrees = np.array([5, 9, 1, 9, 2, 3, 4, 4, 8, 0, 0, 0, 0, 0])  # int(0.2 * 15) = 3
    np.testing.assert_array_equal(popular_items(degrees), [1, 3, 8])
    np.testing.assert_array_equal(popular_items(np.array([1, 2, 3])), [1, 2])  # never fewer than two


@pytest.mark.parametrize("how", ["profile_svd", "spectral"])
@pytest.mark.parametrize(
    ("matrix", "given"), [(None, "got none"), (sp.csr_matrix((3, 5)), "got a matrix of 5 items")]
)
def test_starts_from_interactions_need_them(how: str, matrix: sp.csr_matrix | None, given: str) -> None:
    with pytest.raises(UserError, match=f"llm_selection {how} needs .* 4 items .*{given}; pass train_matrix"):
        fit(VECTORS, 2, how, train_matrix=matrix)


@pytest.mark.parametrize("how", ["var", "svd"])
@pytest.mark.parametrize(
    ("matrix", "given"), [(None, "got none"), (sp.csr_matrix((3, 5)), "got a matrix of 5 items")]
)
def test_popular_items_need_their_interactions(how: str, matrix: sp.csr_matrix | None, given: str) -> None:
    with pytest.raises(
        UserError, match=f"llm_selection_scope popular .* 4 items .*{given}; pass train_matrix"
    ) as e:
        fit(VECTORS, 2, how, scope="popular", train_matrix=matrix)
    assert "\n" not in str(e.value)


def test_rand_draws_without_replacement_and_follows_the_seed() -> None:
    wide = np.arange(3 * 50, dtype=np.float32).reshape(3, 50)
    drawn = rows_of(wide, 20, "rand", seed=1)
    assert len(np.unique(drawn[0])) == 20
    np.testing.assert_array_equal(drawn, rows_of(wide, 20, "rand", seed=1))
    assert not np.array_equal(drawn, rows_of(wide, 20, "rand", seed=2))
    again = rows_of(np.arange(3 * 20, dtype=np.float32).reshape(3, 20), 20, "rand_with_replacement", seed=0)
    assert len(np.unique(again[0])) < 20


def test_svd_keeps_inner_products_and_pca_distances_of_low_rank_vectors() -> None:
    rng = np.random.default_rng(0)
    low = (rng.normal(size=(30, 3)) @ rng.normal(size=(3, 12)) + 5).astype(np.float32)  # rank 4, 3 centred
    svd, pca = rows_of(low, 4, "svd"), rows_of(low, 3, "pca")
    np.testing.assert_allclose(svd @ svd.T, low @ low.T, rtol=1e-3)
    centred = low - low.mean(axis=0)
    np.testing.assert_allclose(pca @ pca.T, centred @ centred.T, atol=1e-2)
    assert abs(pca.mean(axis=0)).max() < 1e-3


def test_pca_by_hand() -> None:
    line = np.array([[0, 0], [2, 2], [4, 4]], dtype=np.float32)
    np.testing.assert_allclose(rows_of(line, 1, "pca").ravel(), np.array([-2, 0, 2]) * np.sqrt(2), atol=1e-5)


def test_whiten_gives_unit_variance_and_zeros_beyond_the_rank() -> None:
    rng = np.random.default_rng(0)
    white = rows_of(
        rng.normal(size=(200, 8)).astype(np.float32) * np.arange(1, 9, dtype=np.float32), 5, "whiten"
    )
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(5), atol=1e-3)
    few = rows_of(rng.normal(size=(3, 8)).astype(np.float32), 5, "whiten")  # rank 2 when centred
    np.testing.assert_allclose(few[:, 2:], 0)


def test_random_projection_keeps_lengths_on_average() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(400, 300)).astype(np.float32)
    projected = rows_of(vectors, 100, "random_projection", seed=3)
    assert not np.array_equal(projected, rows_of(vectors, 100, "random_projection", seed=4))
    ratio = np.linalg.norm(projected, axis=1) / np.linalg.norm(vectors, axis=1)
    assert ratio.mean() == pytest.approx(1.0, abs=0.02)


def test_center_subtracts_the_mean_first() -> None:
    np.testing.assert_allclose(rows_of(VECTORS, 4, "full", center=True).mean(axis=0), 0, atol=1e-6)
    for how in ("uni", "svd", "random_projection"):
        shifted, centred = VECTORS + 5, VECTORS - VECTORS.mean(axis=0)
        np.testing.assert_allclose(rows_of(shifted, 3, how, center=True), rows_of(centred, 3, how), atol=1e-5)


@pytest.mark.parametrize("how", ["svd", "pca", "whiten"])
def test_projections_are_ordered_and_their_signs_are_set(how: str) -> None:
    """Directions are in order of eigenvalue, and their largest weight is positive: two machines agree."""
    rng = np.random.default_rng(1)
    base = (rng.normal(size=(50, 6)) * np.arange(1, 7)).astype(np.float32)
    base -= base.mean(axis=0)
    directions = np.linalg.lstsq(base, rows_of(base, 4, how), rcond=None)[0]  # (6, 4)
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(4)]
    assert (largest > 0).all()
    variances = (base @ (directions / np.linalg.norm(directions, axis=0))).var(axis=0)
    assert (np.diff(variances) < 0).all()


@pytest.mark.parametrize("how", [s.value for s in Selection if s is not Selection.SPECTRAL])
def test_wider_than_the_vectors_is_refused(how: str) -> None:
    with pytest.raises(UserError, match=r"5 must not exceed the vectors' 4"):
        rows_of(VECTORS, 5, how)


@settings(max_examples=60, deadline=None)
@given(MATRICES, st.sampled_from(list(Selection)), st.integers(0, 5), st.booleans())
def test_any_matrix_gives_a_finite_table_of_the_asked_shape(
    vectors: np.ndarray, how: Selection, seed: int, center: bool
) -> None:
    k = vectors.shape[1] if how is Selection.FULL else max(1, vectors.shape[1] // 2)
    before = vectors.copy()
    chosen = rows_of(vectors, k, how, seed=seed, center=center)
    assert chosen.shape == (len(vectors), k)
    assert chosen.dtype == np.float32
    assert np.isfinite(chosen).all()
    np.testing.assert_array_equal(vectors, before)
    np.testing.assert_array_equal(chosen, rows_of(vectors, k, how, seed=seed, center=center))


@settings(max_examples=40, deadline=None)
@given(MATRICES, st.sampled_from(COLUMNS))
def test_column_selections_only_copy_columns(vectors: np.ndarray, how: str) -> None:
    columns = {column.tobytes() for column in vectors.T.copy()}
    assert all(column.tobytes() in columns for column in rows_of(vectors, 2, how).T.copy())
