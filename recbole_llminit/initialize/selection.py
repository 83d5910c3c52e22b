"""Selection: (n_items, d_llm) vectors become (n_items, k)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from recbole_llminit.initialize.settings import Selection
from recbole_llminit.utils.errors import UserError

Matrix = npt.NDArray[np.float32]
_Columns = npt.NDArray[np.int64]


def select(
    vectors: Matrix,
    k: int,
    how: Selection | str = Selection.VAR,
    *,
    seed: int = 0,
    scope: npt.NDArray[np.int64] | None = None,
    center: bool = False,
) -> Matrix:
    """Keep or combine dimensions of the item vectors.

    LLMInit, Section 3.2 (rand, uni, var); the projections are the controls it lacks. Differs from
    the published code in `rand`, which there draws with replacement (``rand_with_replacement``),
    and in `var`, which there looks at popular items only (`scope`).

    Args:
        vectors: (n_items, d_llm) float, real items only: no padding row.
        k: Width of the result, at most d_llm; d_llm itself for `full`.
        how: See `Selection`.
        seed: Decides the draws of `rand`, `rand_with_replacement` and `random_projection`.
        scope: Row numbers over which `var` takes variance; all rows if None.
        center: Subtract the mean item vector first (`pca` and `whiten` always do).

    Returns:
        (n_items, k) float32. Selected columns keep their order; projections are ordered by
        eigenvalue, each direction's largest weight made positive.

    Raises:
        UserError: If k is larger than d_llm, or other than d_llm for `full`.
    """
    how = Selection(how)
    d_llm = vectors.shape[1]
    if k > d_llm:
        fix = f"set it to {d_llm} or less, or use wider vectors"
        raise UserError(f"the host's embedding size {k} must not exceed the vectors' {d_llm}: {fix}")
    if how is Selection.FULL and k != d_llm:
        raise UserError(f"llm_selection full: the host's items are {k} wide, the vectors {d_llm}")
    values = np.asarray(vectors, dtype=np.float32)
    if center:
        values = values - values.mean(axis=0, dtype=np.float64).astype(np.float32)
    if how is Selection.FULL:
        return values
    columns = _columns(values, k, how, np.random.default_rng(seed), scope)
    if columns is not None:
        return np.ascontiguousarray(values[:, columns])
    return _project(values, k, how, np.random.default_rng(seed))


def popular_items(degrees: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the rows of the 20 % of items with the highest training degree.

    The authors' code counts the padding item among the items; so does this. At least two items are
    returned, so that a variance exists.

    Args:
        degrees: (n_items,) training interactions of each real item.
    """
    count = max(2, int(0.2 * (len(degrees) + 1)))
    return np.sort(np.argsort(-degrees, kind="stable")[:count])


def _columns(
    values: Matrix, k: int, how: Selection, rng: np.random.Generator, scope: _Columns | None
) -> _Columns | None:
    """Return the columns that `how` keeps, or None if it combines columns instead."""
    d_llm = values.shape[1]
    if how is Selection.RAND:
        return np.sort(rng.choice(np.arange(d_llm), size=k, replace=False))
    if how is Selection.RAND_WITH_REPLACEMENT:
        return rng.integers(d_llm, size=k)
    if how is Selection.UNI:
        return np.arange(0, k * (d_llm // k), d_llm // k)
    if how is Selection.PREFIX:
        return np.arange(k)
    if how is Selection.VAR:
        variance = (values if scope is None else values[scope]).var(axis=0, dtype=np.float64)
        return np.sort(np.argsort(-variance, kind="stable")[:k])
    return None


def _project(values: Matrix, k: int, how: Selection, rng: np.random.Generator) -> Matrix:
    """Map the vectors linearly to k dimensions."""
    d_llm = values.shape[1]
    if how is Selection.RANDOM_PROJECTION:
        mapping = rng.standard_normal((d_llm, k)) / np.sqrt(k)
        return np.asarray(values @ mapping, dtype=np.float32)
    exact = values.astype(np.float64)
    if how is not Selection.SVD:
        exact -= exact.mean(axis=0)
    eigenvalues, directions = _leading(exact.T @ exact, k)
    projected = exact @ directions
    if how is Selection.WHITEN:
        # Directions without variance (fewer items than k) stay at zero instead of blowing up.
        noise = eigenvalues[0] * d_llm * np.finfo(np.float32).eps
        kept = eigenvalues > noise
        projected[:, kept] /= np.sqrt(eigenvalues[kept] / len(exact))
        projected[:, ~kept] = 0.0
    return np.asarray(projected, dtype=np.float32)


def _leading(gram: npt.NDArray[np.float64], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k largest eigenvalues of a (d, d) matrix and their (d, k) directions."""
    d = len(gram)
    eigenvalues, directions = eigh(gram, subset_by_index=[d - k, d - 1])
    eigenvalues, directions = eigenvalues[::-1], directions[:, ::-1]
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(k)]
    return eigenvalues, directions * np.where(largest < 0, -1.0, 1.0)
