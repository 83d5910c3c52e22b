"""Noise: vectors without any meaning, whose mean and covariance are those of the real ones."""

from __future__ import annotations

import numpy as np

from recbole_llminit.initialize.selection import Matrix


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
