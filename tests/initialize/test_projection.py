"""Projections: parts computed by hand, rows that depend on one vector alone, and saving and reading."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recbole_llminit.initialize import Projection, fit
from recbole_llminit.initialize.settings import Selection
from recbole_llminit.utils.errors import UserError
from tests.initialize.test_selection import interactions

VECTORS = np.array([[1, 0, 5, 2], [1, 4, 5, 0], [1, 0, 9, 4], [1, 4, 5, 2]], dtype=np.float32)
LINE = np.array([[0, 0], [2, 2], [4, 4]], dtype=np.float32)
NEW = np.array([[5, 3]], dtype=np.float32)  # centred: (3, 1), which is 2 sqrt(2) along the line
MATRICES = st.tuples(st.integers(2, 9), st.integers(2, 7)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-10, 10, width=32))
)


MAPPED = st.sampled_from([how for how in Selection if how is not Selection.SPECTRAL])  # rows of vectors


def parts_of(projection: Projection) -> set[str]:
    return {name for name, part in vars(projection).items() if part is not None}


def saved_and_read(projection: Projection) -> Projection:
    file = io.BytesIO()
    torch.save(projection.state(), file)
    file.seek(0)
    return Projection.from_state(torch.load(file, weights_only=True))


def test_columns_by_hand() -> None:
    projection = fit(VECTORS, 2, "var")
    assert parts_of(projection) == {"width", "columns"}
    assert projection.width == 4
    np.testing.assert_array_equal(projection.columns, [1, 2])
    np.testing.assert_array_equal(projection(np.array([[10, 20, 30, 40]])), [[20, 30]])


def test_the_mean_of_the_catalogue_is_subtracted_from_later_items() -> None:
    projection = fit(VECTORS, 2, "var", center=True)
    assert parts_of(projection) == {"width", "center", "columns"}
    assert projection.center is not None
    assert projection.center.dtype == np.float32
    np.testing.assert_array_equal(projection.center, [1, 2, 6, 2])
    np.testing.assert_array_equal(projection(np.array([[10, 20, 30, 40]])), [[18, 24]])
    whole = fit(VECTORS, 4, "full", center=True)
    assert parts_of(whole) == {"width", "center"}
    np.testing.assert_array_equal(whole(np.array([[10, 20, 30, 40]])), [[9, 18, 24, 38]])


def test_directions_and_their_mean_by_hand() -> None:
    projection = fit(LINE, 1, "pca")
    assert parts_of(projection) == {"width", "directions", "mean"}
    np.testing.assert_allclose(projection.directions, np.full((2, 1), 1 / np.sqrt(2)))
    np.testing.assert_allclose(projection.mean, [2, 2])
    np.testing.assert_allclose(projection(NEW), [[2 * np.sqrt(2)]], rtol=1e-6)
    np.testing.assert_allclose(fit(LINE, 1, "pca", center=True)(NEW), [[2 * np.sqrt(2)]], rtol=1e-6)
    svd = fit(LINE, 1, "svd")
    assert parts_of(svd) == {"width", "directions"}
    np.testing.assert_allclose(svd(NEW), [[8 / np.sqrt(2)]], rtol=1e-6)
    assert parts_of(fit(LINE, 1, "random_projection")) == {"width", "directions"}


def test_the_divisor_of_whiten_by_hand() -> None:
    """Along the line the squares sum to 16 over three items; across it there is no variance."""
    projection = fit(LINE, 2, "whiten")
    assert parts_of(projection) == {"width", "directions", "mean", "divisor"}
    np.testing.assert_allclose(projection.divisor, [4 / np.sqrt(3), 0])
    np.testing.assert_allclose(projection(NEW), [[np.sqrt(6) / 2, 0]], rtol=1e-6)


def test_a_scale_multiplies_the_rows() -> None:
    plain = fit(VECTORS, 2, "var", center=True)
    scaled = plain.scaled(0.5)
    assert parts_of(scaled) == parts_of(plain) | {"scale"}
    np.testing.assert_array_equal(scaled(np.array([[10, 20, 30, 40]])), [[9, 12]])
    np.testing.assert_array_equal(plain(np.array([[10, 20, 30, 40]])), [[18, 24]])
    np.testing.assert_array_equal(scaled.scaled(2.0)(np.array([[10, 20, 30, 40]])), [[36, 48]])


@pytest.mark.parametrize("vectors", [np.ones((3, 5)), np.ones((3, 3)), np.ones(4)])
@pytest.mark.parametrize("how", ["var", "full", "svd"])
def test_vectors_of_another_width_are_refused(how: str, vectors: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"vectors of shape \(.*\) must be \(n, 4\)") as refused:
        fit(VECTORS, 4, how)(vectors)
    assert "\n" not in str(refused.value)


@given(MATRICES, MAPPED, st.booleans(), st.sampled_from([None, 0.25]), st.data())
def test_one_vector_gets_the_row_that_it_has_among_all(
    vectors: np.ndarray, how: Selection, center: bool, scale: float | None, data: Any
) -> None:
    k = vectors.shape[1] if how is Selection.FULL else max(1, vectors.shape[1] // 2)
    projection = fit(vectors, k, how, center=center, train_matrix=interactions(len(vectors)))
    projection = projection if scale is None else projection.scaled(scale)
    all_rows = projection(vectors)
    i = data.draw(st.integers(0, len(vectors) - 1))
    one = projection(vectors[i : i + 1])
    assert one.shape == (1, k)
    assert one.dtype == np.float32
    np.testing.assert_allclose(one[0], all_rows[i], rtol=1e-5, atol=1e-6 * max(1, np.abs(all_rows).max()))
    assert projection(vectors[:0]).shape == (0, k)


@given(MATRICES, st.sampled_from(list(Selection)), st.booleans(), st.sampled_from([None, 0.1]))
def test_what_was_saved_gives_the_same_bits(
    vectors: np.ndarray, how: Selection, center: bool, scale: float | None
) -> None:
    k = vectors.shape[1] if how is Selection.FULL else max(1, vectors.shape[1] // 2)
    projection = fit(vectors, k, how, center=center, train_matrix=interactions(len(vectors)))
    projection = projection if scale is None else projection.scaled(scale)
    state = projection.state()
    assert set(state) == parts_of(projection)
    assert all(type(part) in (int, float, torch.Tensor) for part in state.values())
    again = saved_and_read(projection)
    assert again.of_catalogue(vectors).tobytes() == projection.of_catalogue(vectors).tobytes()
    assert parts_of(saved_and_read(again)) == parts_of(projection)
