"""The starting tables: fit, project, control, pool, rescale."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recbole_llminit.initialize.controls import gaussian_like, shuffled
from recbole_llminit.initialize.pooling import pool
from recbole_llminit.initialize.projection import Matrix, Projection
from recbole_llminit.initialize.scale import factor_to, rescale, rms
from recbole_llminit.initialize.selection import fit
from recbole_llminit.initialize.settings import Pooling, Settings


def starting_tables(
    vectors: Matrix,
    train_matrix: sp.csr_matrix,
    settings: Settings,
    *,
    items: Matrix,
    users: Matrix | None,
    seed: int,
) -> tuple[Matrix, Matrix | None, Projection]:
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
        users where the host keeps its own. Last the projection of the vectors, with the items' scale:
        it gives the items' rows again, except where a control (noise, shuffling) has changed them.

    Raises:
        UserError: If the host's width does not fit the vectors'.
    """
    projection = fit(
        vectors[1:],
        items.shape[1],
        settings.selection,
        train_matrix=train_matrix[:, 1:],
        seed=seed,
        scope=settings.scope,
        center=settings.center,
    )
    start = _catalogue(projection, vectors, settings, seed)
    pooled = _pooled(train_matrix, start, settings, users)
    if settings.rescale != "none":
        factor = factor_to(start, _target(settings, items))
        start, projection = start * np.float32(factor), projection.scaled(factor)
    return start, pooled, projection


def _catalogue(projection: Projection, vectors: Matrix, settings: Settings, seed: int) -> Matrix:
    """Return the items' rows by id, (n_items, k), as the controls leave them, with zeros for the padding."""
    rows = projection(vectors[1:])
    if settings.noise:
        rows = gaussian_like(rows, seed)
    table: Matrix = np.pad(rows, ((1, 0), (0, 0)))
    return shuffled(table, seed) if settings.shuffle_items else table


def _pooled(
    train_matrix: sp.csr_matrix, start: Matrix, settings: Settings, users: Matrix | None
) -> Matrix | None:
    """Return the users' rows, (n_users, k), at their own scale, or None if the host keeps its own."""
    if users is None or settings.pooling is Pooling.NONE:
        return None
    pooled = pool(train_matrix, start, settings.pooling)
    return pooled if settings.rescale == "none" else rescale(pooled, _target(settings, users))


def _target(settings: Settings, host: Matrix) -> float:
    """Return the root mean square that a table is scaled to, the host's own being in `host`, (n, k)."""
    return rms(host[1:]) if settings.rescale == "host" else float(settings.rescale)
