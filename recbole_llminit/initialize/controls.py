"""Controls: rows that say nothing about their items, with the moments or the very values of the real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recbole_llminit.initialize.projection import Matrix


def gaussian_like(vectors: Matrix, seed: int) -> Matrix:
    """Draw as many vectors from the normal distribution with the mean and covariance of `vectors`.

    The draws themselves are then moved and mapped, so that the result has exactly these moments where
    there are more vectors than dimensions: a control that differs from the real vectors in nothing
    but which item has which, and in the shape beyond the second moment.

    Args:
        vectors: (n_items, k) float32.
        seed: Decides the draws.

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
    """Return a table (n_items, ...) by RecBole id in which every item has another item's row.

    Row 0, the padding, stays.

    Args:
        table: At least two items beside the padding; texts are shuffled as vectors are.
        seed: Decides which item gets which row.
    """
    moved: npt.NDArray[Any] = table[np.append(0, 1 + derangement(len(table) - 1, seed))]
    return moved


def derangement(n: int, seed: int) -> npt.NDArray[np.int64]:
    """Return a permutation (n,) of n >= 2 rows that leaves none in place: one random cycle."""
    cycle = np.random.default_rng(seed).permutation(n)
    source = np.empty(n, dtype=np.int64)
    source[cycle] = np.roll(cycle, 1)
    return source
