"""Starts that are computed from the training interactions, or by a function of the user's own."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from recbole_llminit.initialize.pooling import normalized
from recbole_llminit.initialize.projection import Exact, Matrix
from recbole_llminit.utils.errors import UserError

_USERS_AT_ONCE = 65_536  # users whose text profiles are held in memory at a time
_ITERATIONS = 20  # of the subspace; more do not change what a start is worth


def profile_gram(train_matrix: sp.csr_matrix, vectors: Matrix) -> Exact:
    """Return (R~ T)' (R~ T), (d_llm, d_llm), of the users' text profiles R~ T.

    Args:
        train_matrix: (n_users, n_items) counts of the training interactions.
        vectors: T, (n_items, d_llm).
    """
    interactions, exact = normalized(train_matrix), vectors.astype(np.float64)
    gram = np.zeros((exact.shape[1],) * 2)
    for start in range(0, interactions.shape[0], _USERS_AT_ONCE):
        profiles = interactions[start : start + _USERS_AT_ONCE] @ exact
        gram += profiles.T @ profiles
    return gram


def item_factors(train_matrix: sp.csr_matrix, k: int) -> Matrix:
    """Return the k leading right singular vectors of R~ times their singular values, (n_items, k) float32.

    Randomised subspace iteration from a fixed seed: SciPy's `svds` gives other vectors in every call where
    singular values are equal. The sign of each makes its largest value positive. Beyond the smaller side of
    R~ the columns are zero.

    Args:
        train_matrix: (n_users, n_items) counts of the training interactions.
        k: Number of columns.
    """
    from sklearn.utils.extmath import randomized_svd  # type: ignore[import-untyped]

    interactions = normalized(train_matrix)
    _, values, vectors = randomized_svd(
        interactions, min(k, *interactions.shape), n_iter=_ITERATIONS, random_state=0, flip_sign=False
    )
    factors = values[:, None] * vectors
    largest = factors[np.arange(len(factors)), np.abs(factors).argmax(axis=1)]
    factors *= np.where(largest < 0, -1.0, 1.0)[:, None]
    return np.asarray(np.pad(factors.T, ((0, 0), (0, k - len(factors)))), dtype=np.float32)


def own_function(name: str) -> Callable[..., Any]:
    """Return the function that ``llm_selection: module:function`` names.

    Raises:
        UserError: If it can't be imported.
    """
    try:
        found = pkgutil.resolve_name(name)
    except Exception as error:  # whatever the module raises while it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"llm_selection '{name}' can't be imported ({reason}); install the module, or put its folder "
            "into PYTHONPATH"
        ) from error
    if not callable(found):
        raise UserError(f"llm_selection '{name}' is no function but a {type(found).__name__}")
    function: Callable[..., Any] = found
    return function


def own_rows(name: str, vectors: Matrix, k: int, train_matrix: sp.csr_matrix | None, seed: int) -> Matrix:
    """Return the rows (n_items, k) float32 that the user's function computes.

    Args:
        name: ``module:function``; called as ``function(vectors, k, train_matrix=..., seed=...)``.
        vectors: (n_items, d_llm) float32, without a padding row; the function gets a copy.
        k: Width of the host model's item table.
        train_matrix: (n_users, n_items) counts of the training interactions.
        seed: The run's seed.

    Raises:
        UserError: If the function can't be imported, or returns anything but finite numbers of that shape.
    """
    returned = own_function(name)(vectors.copy(), k, train_matrix=train_matrix, seed=seed)
    try:
        rows = np.asarray(returned, dtype=np.float32)
    except (TypeError, ValueError):
        raise UserError(f"llm_selection '{name}' returned a {type(returned).__name__}, no matrix") from None
    if rows.shape != (len(vectors), k):
        raise UserError(
            f"llm_selection '{name}' returned a matrix of shape {rows.shape}; expected "
            f"({len(vectors)}, {k}), the items and the host's width"
        )
    if not np.isfinite(rows).all():
        raise UserError(f"llm_selection '{name}' returned NaN or infinite values; expected finite numbers")
    return rows
