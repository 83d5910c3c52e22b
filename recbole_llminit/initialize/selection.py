"""Selection: fit the map from vectors (n_items, d_llm) to rows (n_items, k) of the item table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import eigh

from recbole_llminit.initialize.interactions import item_factors, own_rows, profile_gram
from recbole_llminit.initialize.projection import Columns, Exact, Matrix, Projection
from recbole_llminit.initialize.settings import Scope, Selection
from recbole_llminit.utils.errors import UserError

_EIGEN = (Selection.SVD, Selection.PCA, Selection.WHITEN)
_FROM_INTERACTIONS = (Selection.PROFILE_SVD, Selection.SPECTRAL)


def fit(
    vectors: npt.NDArray[Any],
    k: int,
    how: Selection | str = Selection.VAR,
    *,
    train_matrix: sp.csr_matrix | None = None,
    seed: int = 0,
    scope: Scope | str = Scope.ALL,
    center: bool = False,
) -> Projection:
    """Choose dimensions of the item vectors, or directions in their space, from the whole catalogue.

    LLMInit, Section 3.2, defines `rand`, `uni` and `var`; the projections are controls that the paper
    lacks. The published code differs in `rand`, which it draws with replacement (here
    ``rand_with_replacement``), and in `var`, which it computes over popular items only (here `scope`).

    Args:
        vectors: (n_items, d_llm) float, without a padding row.
        k: Width of the result, at most d_llm; must be d_llm for `full`.
        how: See `Selection`; or ``module:function``, the user's own (see `own_rows`).
        train_matrix: (n_users, n_items) counts of the training interactions. Its columns correspond to
            the rows of `vectors`: RecBole's padding column is left out. Needed by `profile_svd`, by
            `spectral` and if `scope` is `popular`.
        seed: Seed of the draws of `rand`, `rand_with_replacement` and `random_projection`.
        scope: Items over which `var` computes the variance, see `Scope`.
        center: Subtract the mean item vector first (`pca` and `whiten` always do).

    Returns:
        The projection. Selected columns keep their order. Directions are ordered by eigenvalue, and the
        sign of each makes its largest weight positive.

    Raises:
        UserError: If k is larger than d_llm, or differs from d_llm for `full`; if `train_matrix` is needed
            and missing or of another number of items; if the user's function is wrong.
    """
    how, d_llm = how if ":" in how else Selection(how), vectors.shape[1]
    _refuse_width(k, how, d_llm)
    items = _in_scope(Scope(scope), train_matrix, len(vectors))
    values = np.asarray(vectors, dtype=np.float32)
    if how in _FROM_INTERACTIONS:
        train_matrix = _needed(f"llm_selection {Selection(how).value}", train_matrix, len(vectors))
    if how is Selection.SPECTRAL:
        return Projection(d_llm, catalogue=item_factors(train_matrix, k))
    projection, rng = Projection(d_llm), np.random.default_rng(seed)
    if center:
        mean = values.mean(axis=0, dtype=np.float64).astype(np.float32)
        projection, values = replace(projection, center=mean), values - mean
    if not isinstance(how, Selection):
        return Projection(d_llm, catalogue=own_rows(how, values, k, train_matrix, seed))
    if how is Selection.FULL:
        return projection
    if how is Selection.RANDOM_PROJECTION:
        return replace(projection, directions=rng.standard_normal((d_llm, k)) / np.sqrt(k))
    if how is Selection.PROFILE_SVD:
        return replace(projection, directions=_leading(profile_gram(train_matrix, values), k)[1])
    if how in _EIGEN:
        return _with_directions(projection, values, k, how)
    return replace(projection, columns=_columns(values, k, how, rng, items))


def popular_items(degrees: npt.NDArray[np.int64]) -> Columns:
    """Return the rows, in ascending order, of the 20 % of items with the most training interactions.

    The 20 % are taken of a number of items that includes the padding item, as in the authors' code. At
    least two items are returned, so that a variance exists.

    Args:
        degrees: (n_items,) number of training interactions of each item, without the padding.
    """
    count = max(2, int(0.2 * (len(degrees) + 1)))
    return np.sort(np.argsort(-degrees, kind="stable")[:count])


def _refuse_width(k: int, how: Selection | str, d_llm: int) -> None:
    if how is Selection.SPECTRAL or not isinstance(how, Selection):
        return  # their rows may be wider than the vectors
    if k > d_llm:
        fix = f"set it to {d_llm} or less, or use wider vectors"
        raise UserError(f"the host's embedding size {k} must not exceed the vectors' {d_llm}: {fix}")
    if how is Selection.FULL and k != d_llm:
        raise UserError(f"llm_selection full: the host's items are {k} wide, the vectors {d_llm}")


def _in_scope(scope: Scope, train_matrix: sp.csr_matrix | None, n_items: int) -> Columns | None:
    """Return the rows of the items over which the variance is computed, or None for all items."""
    if scope is Scope.ALL:
        return None
    interactions = _needed("llm_selection_scope popular", train_matrix, n_items)
    degrees = np.asarray(interactions.sum(axis=0)).ravel()
    return popular_items(degrees.astype(np.int64))


def _needed(key: str, train_matrix: sp.csr_matrix | None, n_items: int) -> sp.csr_matrix:
    """Return the training interactions, or refuse to do without them."""
    if train_matrix is None or train_matrix.shape[1] != n_items:
        given = "none" if train_matrix is None else f"a matrix of {train_matrix.shape[1]} items"
        raise UserError(
            f"{key} needs the training interactions of the {n_items} items with vectors, and got {given}; "
            f"pass train_matrix, (n_users, {n_items})"
        )
    return train_matrix


def _columns(
    values: Matrix, k: int, how: Selection, rng: np.random.Generator, items: Columns | None
) -> Columns:
    """Return the dimensions that `how` keeps, (k,)."""
    d_llm = values.shape[1]
    if how is Selection.RAND:
        return np.sort(rng.choice(np.arange(d_llm), size=k, replace=False))
    if how is Selection.RAND_WITH_REPLACEMENT:
        return rng.integers(d_llm, size=k)
    if how is Selection.UNI:
        return np.arange(0, k * (d_llm // k), d_llm // k)
    if how is Selection.PREFIX:
        return np.arange(k)
    variance = (values if items is None else values[items]).var(axis=0, dtype=np.float64)
    return np.sort(np.argsort(-variance, kind="stable")[:k])


def _with_directions(projection: Projection, values: Matrix, k: int, how: Selection) -> Projection:
    """Add the k leading directions of the vectors, and the mean and divisor that `how` needs."""
    exact = values.astype(np.float64)
    mean = None if how is Selection.SVD else exact.mean(axis=0)
    if mean is not None:
        exact -= mean
    eigenvalues, directions = _leading(exact.T @ exact, k)
    divisor = _deviations(eigenvalues, exact.shape) if how is Selection.WHITEN else None
    return replace(projection, directions=directions, mean=mean, divisor=divisor)


def _deviations(eigenvalues: Exact, shape: tuple[int, ...]) -> Exact:
    """Return the standard deviation along each direction, (k,), and 0 where it is mere rounding error.

    With fewer items than k some directions have no variance; dividing by rounding error would make
    their values arbitrarily large.
    """
    n_items, d_llm = shape
    noise = eigenvalues[0] * d_llm * np.finfo(np.float32).eps
    deviations: Exact = np.sqrt(np.where(eigenvalues > noise, eigenvalues, 0.0) / n_items)
    return deviations


def _leading(gram: Exact, k: int) -> tuple[Exact, Exact]:
    """Return the k largest eigenvalues of a symmetric (d, d) matrix, descending, and eigenvectors (d, k)."""
    d = len(gram)
    eigenvalues, directions = eigh(gram, subset_by_index=[d - k, d - 1])
    eigenvalues, directions = eigenvalues[::-1], directions[:, ::-1]
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(k)]
    return eigenvalues, directions * np.where(largest < 0, -1.0, 1.0)
