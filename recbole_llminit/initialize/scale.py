"""Bring a starting table to a given root mean square."""

from __future__ import annotations

import numpy as np

from recbole_llminit.initialize.projection import Matrix


def rms(table: Matrix) -> float:
    """Return the root mean square of the entries of `table`, (n, k), leaving out rows that are all zero."""
    rows = table[np.any(table != 0, axis=1)]
    return float(np.sqrt(np.mean(np.square(rows, dtype=np.float64)))) if len(rows) else 0.0


def factor_to(table: Matrix, target: float) -> float:
    """Return the factor that brings `table`, (n, k), to the root mean square `target`.

    Rows of zeros (padding, users without interactions) are left out. The factor of a table of zeros is 1.
    """
    current = rms(table)
    return target / current if current > 0 else 1.0


def rescale(table: Matrix, target: float) -> Matrix:
    """Return `table`, (n, k), multiplied by one factor so that its root mean square is `target`."""
    return table * np.float32(factor_to(table, target))
