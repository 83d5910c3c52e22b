"""Controls: tables without information about the items, with the real table's moments or its very rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recbole_llminit.initialize.projection import Matrix


def gaussian_like(vectors: Matrix, seed: int) -> Matrix:
    """Draw as many vectors from the normal distribution with the mean and covariance of `vectors`.

    The draws are standardised before they are mapped, so that the result has exactly these moments if
    there are more vectors than dimensions. The control therefore differs from the real vectors only in
    which item has which vector and in the moments beyond the second.

    Args:
        vectors: (n_items, k) float32.
        seed: Seed of the draws.

    Returns:
        (n_items, k) float32.
    """
    exact = vectors.astype(np.float64)
    mean = exact.mean(axis=0)
    draws = np.random.default_rng((seed, 3)).standard_normal(exact.shape)
    draws -= draws.mean(axis=0)
    if len(draws) > draws.shape[1]:
        draws = np.linalg.qr(draws)[0] * np.sqrt(len(draws))  # orthogonal columns of variance 1
    scales, directions = np.linalg.eigh((exact - mean).T @ (exact - mean) / len(exact))
    return np.asarray(draws * np.sqrt(scales.clip(min=0)) @ directions.T + mean, dtype=np.float32)


def shuffled(table: npt.NDArray[Any], seed: int) -> npt.NDArray[Any]:
    """Return a copy of `table` in which every item has the row of another item; row 0 (padding) stays.

    Args:
        table: (n_items, ...) vectors or texts by RecBole id, with at least two items beside the padding.
        seed: Seed of the permutation. The same seed permutes vectors and texts alike.
    """
    moved: npt.NDArray[Any] = table[np.append(0, 1 + derangement(len(table) - 1, seed))]
    return moved


def derangement(n: int, seed: int) -> npt.NDArray[np.int64]:
    """Return a random permutation (n,) of n >= 2 rows that leaves no row in place; it is a single cycle."""
    cycle = np.random.default_rng(seed).permutation(n)
    source = np.empty(n, dtype=np.int64)
    source[cycle] = np.roll(cycle, 1)
    return source
