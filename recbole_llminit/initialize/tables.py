"""Compute the starting tables: fit and apply the projection, apply the controls, pool users, rescale.

The host model is the RecBole model X beneath ``LLMInit<X>``.
"""

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
        train_matrix: (n_users, n_items) counts of the training interactions alone.
        settings: How to select dimensions, pool and rescale, and which controls to apply.
        items: (n_items, k) float32, the host model's initial item table, which gives k and the scale for
            ``llm_rescale: host``.
        users: (n_users, k) float32, the host model's initial user table, or None if it has none.
        seed: Seed of every draw. The global random generators are not used, so that negatives are drawn
            as in a run of the host model alone.

    Returns:
        A tuple of the item table (n_items, k) float32; the user table (n_users, k) float32, or None if
        the host model keeps its initial one; and the projection, with the items' scale. The padding rows
        are zero. Applied to `vectors`, the projection gives the item table again, unless a control
        (noise, shuffling) has changed it.

    Raises:
        UserError: If k does not fit the vectors' width.
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
    """Return the item table (n_items, k) by RecBole id, after the controls, with zeros for the padding."""
    rows = projection.of_catalogue(vectors[1:])
    if settings.noise:
        rows = gaussian_like(rows, seed)
    table: Matrix = np.pad(rows, ((1, 0), (0, 0)))
    return shuffled(table, seed) if settings.shuffle_items else table


def _pooled(
    train_matrix: sp.csr_matrix, start: Matrix, settings: Settings, users: Matrix | None
) -> Matrix | None:
    """Return the user table (n_users, k), rescaled, or None if the host model keeps its initial one."""
    if users is None or settings.pooling is Pooling.NONE:
        return None
    pooled = pool(train_matrix, start, settings.pooling)
    return pooled if settings.rescale == "none" else rescale(pooled, _target(settings, users))


def _target(settings: Settings, host: Matrix) -> float:
    """Return the root mean square to scale a table to; `host`, (n, k), is the host model's initial table."""
    return rms(host[1:]) if settings.rescale == "host" else float(settings.rescale)
