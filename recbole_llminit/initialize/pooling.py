"""Pool the vectors of the items that a user interacted with in training into the user's vector."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recbole_llminit.initialize.projection import Matrix
from recbole_llminit.initialize.settings import Pooling

_ROWS_AT_ONCE = 200_000  # interactions whose item vectors `max` holds in memory at a time


def pool(train_matrix: sp.csr_matrix, item_vectors: Matrix, how: Pooling | str = Pooling.MEAN) -> Matrix:
    """Combine the vectors of the items that each user interacted with in training.

    LLMInit, Section 3.3 and Table 5. Only mean pooling exists in the published code. `max` and
    `lightgcn` are named in the paper and implemented after their names: the elementwise maximum, and one
    symmetrically normalised hop, sum over j of v_j / sqrt(|N_u| |N_j|).

    Args:
        train_matrix: (n_users, n_items) counts of training interactions; an interaction that
            occurs twice counts twice, as in the published code (`max` ignores counts).
        item_vectors: (n_items, k) float32, the padding row included.
        how: `mean`, `max` or `lightgcn`.

    Returns:
        (n_users, k) float32. A user without training interactions, such as the padding user, gets a
        row of zeros; the published code divides by zero there.
    """
    how = Pooling(how)
    matrix = sp.csr_matrix(train_matrix, dtype=np.float32)
    matrix.sum_duplicates()
    if how is Pooling.MAX:
        return _maximum(matrix, item_vectors)
    per_user = _inverse(np.asarray(matrix.sum(axis=1)).ravel())
    if how is Pooling.MEAN:
        return np.asarray(sp.diags(per_user) @ matrix @ item_vectors, dtype=np.float32)
    if how is Pooling.LIGHTGCN:
        return np.asarray(normalized(matrix) @ item_vectors, dtype=np.float32)
    raise ValueError(f"pooling '{how.value}' leaves users to the host")


def normalized(train_matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return R~ = D_u^-1/2 R D_i^-1/2 of R (n_users, n_items), float64, with D the row and column sums.

    A user or an item without interactions keeps a row or a column of zeros.
    """
    matrix = sp.csr_matrix(train_matrix, dtype=np.float32)
    per_user, per_item = (_inverse(np.asarray(matrix.sum(axis=axis)).ravel()) for axis in (1, 0))
    return sp.csr_matrix(sp.diags(np.sqrt(per_user)) @ matrix @ sp.diags(np.sqrt(per_item)))


def _inverse(degrees: np.ndarray) -> np.ndarray:
    """Return 1 / degree for each degree, (n,), and 0 where the degree is 0."""
    inverse: np.ndarray = np.divide(1.0, degrees, out=np.zeros(len(degrees)), where=degrees > 0)
    return inverse


def _maximum(matrix: sp.csr_matrix, item_vectors: Matrix) -> Matrix:
    """Take the elementwise maximum per user, block by block of users to bound the memory."""
    users = np.zeros((matrix.shape[0], item_vectors.shape[1]), dtype=np.float32)
    with_items = np.flatnonzero(np.diff(matrix.indptr))
    ends = matrix.indptr[with_items + 1]
    blocks = np.searchsorted(ends, np.arange(_ROWS_AT_ONCE, matrix.nnz, _ROWS_AT_ONCE))
    for block in np.split(with_items, np.unique(blocks)):
        if len(block):
            first, last = matrix.indptr[block[0]], matrix.indptr[block[-1] + 1]
            touched = item_vectors[matrix.indices[first:last]]
            users[block] = np.maximum.reduceat(touched, matrix.indptr[block] - first)
    return users
