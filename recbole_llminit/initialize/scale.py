"""Scale: bring a starting table to a given root mean square."""

from __future__ import annotations

import numpy as np

from recbole_llminit.initialize.selection import Matrix


def rms(table: Matrix) -> float:
    """Return the root mean square of the entries of the rows that are not all zero."""
    rows = table[np.any(table != 0, axis=1)]
    return float(np.sqrt(np.mean(np.square(rows, dtype=np.float64)))) if len(rows) else 0.0


def rescale(table: Matrix, target: float) -> Matrix:
    """Scale `table`, (n, k), by one factor to the root mean square `target`.

    Rows of zeros (padding, users without interactions) stay zero and don't count. A table of zeros
    is returned as it is.
    """
    current = rms(table)
    return table * np.float32(target / current) if current > 0 else table
