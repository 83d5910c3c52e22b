"""The starting tables: select, shuffle, pool, rescale."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recbole_llminit.initialize.noise import gaussian_like
from recbole_llminit.initialize.pooling import pool
from recbole_llminit.initialize.scale import rescale, rms
from recbole_llminit.initialize.selection import Matrix, popular_items, select
from recbole_llminit.initialize.settings import Pooling, Scope, Settings


def starting_tables(
    vectors: Matrix,
    train_matrix: sp.csr_matrix,
    settings: Settings,
    *,
    items: Matrix,
    users: Matrix | None,
    seed: int,
) -> tuple[Matrix, Matrix | None]:
    """Compute the item and user tables that training starts from.

    Args:
        vectors: (n_items, d_llm) float32 in RecBole's id order; row 0 is padding.
        train_matrix: (n_users, n_items) counts of the training interactions, and of no others.
        settings: What to select and how to pool.
        items: (n_items, k) float32, the host's own values: they give the width and the host's scale.
        users: (n_users, k) float32, the host's own user values, or None if it has no user table.
        seed: Decides every draw; the global generators are left alone, so that a run's sampling is
            the host's.

    Returns:
        Items (n_items, k) and users (n_users, k), float32, with zeros in the padding row; None for
        users where the host keeps its own.
    """
    start = np.zeros_like(items)
    start[1:] = _selected(vectors[1:], train_matrix, settings, items.shape[1], seed)
    if settings.noise:
        start[1:] = gaussian_like(start[1:], seed)
    if settings.shuffle_items:
        start = shuffled(start, seed)
    pooled = None
    if users is not None and settings.pooling is not Pooling.NONE:
        pooled = pool(train_matrix, start, settings.pooling)
        pooled = _scaled(pooled, settings.rescale, users)
    return _scaled(start, settings.rescale, items), pooled


def _selected(vectors: Matrix, train_matrix: sp.csr_matrix, settings: Settings, k: int, seed: int) -> Matrix:
    scope = None
    if settings.scope is Scope.POPULAR:
        degrees = np.asarray(train_matrix.sum(axis=0)).ravel()[1:]
        scope = popular_items(degrees.astype(np.int64))
    return select(vectors, k, settings.selection, seed=seed, scope=scope, center=settings.center)


def shuffled(table: Matrix, seed: int) -> Matrix:
    """Return a table (n_items, d) by id in which every item has another item's row; row 0 stays."""
    moved: Matrix = table[np.append(0, 1 + nobodys_own(len(table) - 1, seed))]
    return moved


def nobodys_own(n: int, seed: int) -> np.ndarray:
    """Return a permutation of n >= 2 rows that leaves none in place: one random cycle."""
    cycle = np.random.default_rng(seed).permutation(n)
    source = np.empty(n, dtype=np.int64)
    source[cycle] = np.roll(cycle, 1)
    return source


def _scaled(table: Matrix, how: str | float, host: Matrix) -> Matrix:
    if how == "none":
        return table
    return rescale(table, rms(host[1:]) if how == "host" else float(how))
