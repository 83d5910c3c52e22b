"""Closed-form item-item models: ridge regressions of each item on all others, solved without training.

Functions of arrays. With X the training interactions (n_users, n_items) and F the items' text, both models
return weights B (n_items, n_items) with a diagonal of zeros: user u's score of item i is (X B)_ui.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import cholesky, get_lapack_funcs, solve_triangular

from recbole_llminit.utils.errors import UserError

Weights = npt.NDArray[Any]  # (n_items, n_items) of `dtype_for`
_MOST_ITEMS_IN_DOUBLE = 6_000
_BLOCK = 1024  # rows of a matrix (n_items, n_items) that a step makes anew
_NO_VECTOR = 1e-5  # a centred row shorter than this share of the typical row is rounding, and becomes zero


def unit_rows(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Centre vectors (n_items, d_llm) over the items and scale every row to length 1.

    A row that equals the mean, such as one that stands for a missing vector, becomes zeros.
    """
    centred = np.asarray(vectors, dtype=np.float64)
    typical = np.sqrt(np.square(centred).sum(axis=1).mean())
    centred = centred - centred.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    rows = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > _NO_VECTOR * typical)
    return np.asarray(rows, dtype=np.float32)


def dtype_for(n_items: int) -> type[np.floating[Any]]:
    """Return the precision in which a catalogue is solved: double up to 6,000 items, single above."""
    return np.float64 if n_items <= _MOST_ITEMS_IN_DOUBLE else np.float32


def needed_bytes(n_items: int) -> int:
    """Return the most memory that weights (n_items, n_items) take at once: 12 bytes for each of them.

    Solving holds the matrix that is inverted in place and the weights in float32, at most 8 and 4 bytes;
    writing a checkpoint holds the weights three times.
    """
    return 12 * n_items**2


def cease(interactions: sp.csr_matrix, text: npt.NDArray[Any], weight: float, ridge: float) -> Weights:
    """Return CEASE's weights: EASE on X'X + weight F F'.

    Jeunen, Van Balen and Goethals, "Closed-Form Models for Collaborative Filtering with
    Side-Information", RecSys 2020: P = (X'X + weight F F' + ridge I)^-1 and B_ij = -P_ij / P_jj.

    Args:
        interactions: X, (n_users, n_items) counts.
        text: F, (n_items, d).
        weight: Of the text, from 0 on; at 0 this is EASE.
        ridge: Above 0.

    Raises:
        UserError: If the matrix can't be inverted.
    """
    weights = _inverse_gram(interactions, ridge, np.sqrt(weight) * text)
    weights /= -weights.diagonal()
    np.fill_diagonal(weights, 0)
    return weights


def l3ae(interactions: sp.csr_matrix, text: npt.NDArray[Any], lambdas: tuple[float, float, float]) -> Weights:
    """Return L3AE's weights: EASE that is pulled towards the item-item weights of the text.

    "L3AE", CIKM 2025 (arXiv 2508.13500). The text's own weights are EASE's on F F':
    P_F = (F F' + l_F I)^-1 and C_ij = -P_F,ij / P_F,jj, C_ii = 0. With P = (X'X + (l_X + l_E) I)^-1,
    B = l_E P C - P diag((1 + l_E diag(P C)) / diag P), and B_ii = 0.

    C is not written down: l_F P_F is I - Q Q' for a Q of F's size, so that C = I - (I - Q Q') / (1 - |q_j|^2)
    by column, and P C costs two thin products instead of one of (n_items, n_items) by itself.

    Args:
        interactions: X, (n_users, n_items) counts.
        text: F, (n_items, d).
        lambdas: l_F above 0, l_X, and l_E from 0 on; l_X + l_E above 0. At l_E = 0 this is EASE.

    Raises:
        UserError: If the matrix can't be inverted.
    """
    of_text, ridge, pull = lambdas
    q = _whitened(text.astype(dtype_for(interactions.shape[1])), of_text)
    weights = _inverse_gram(interactions, ridge + pull)
    own, rest = weights.diagonal().copy(), 1 - np.square(q).sum(axis=1)
    left, right = weights @ q, q / rest[:, None]
    of_itself = own * (1 - 1 / rest) + (left * right).sum(axis=1)  # diag(P C)
    weights *= pull * (1 - 1 / rest) - (1 + pull * of_itself) / own
    for rows in _blocks(len(weights)):
        weights[rows] += pull * left[rows] @ right.T
    np.fill_diagonal(weights, 0)
    return weights


def _whitened(text: npt.NDArray[Any], ridge: float) -> npt.NDArray[Any]:
    """Return Q (n_items, d) with (F F' + ridge I)^-1 = (I - Q Q') / ridge, by Woodbury's identity."""
    gram = text.T @ text
    gram.flat[:: len(gram) + 1] += ridge
    solved: npt.NDArray[Any] = solve_triangular(cholesky(gram, lower=True), text.T, lower=True)
    return solved.T


def _inverse_gram(interactions: sp.csr_matrix, ridge: float, rows: npt.NDArray[Any] | None = None) -> Weights:
    """Return (X'X + rows rows' + ridge I)^-1; nothing but the result is of its size.

    The sparse part is added in blocks, because X'X of long histories is as full as a dense matrix.
    """
    n_items = interactions.shape[1]
    dtype = dtype_for(n_items)
    gram = np.zeros((n_items, n_items), dtype)
    if rows is not None:
        rows = rows.astype(dtype)
        np.matmul(rows, rows.T, out=gram)
    transposed = interactions.T.tocsr()
    for block in _blocks(n_items):
        gram[block] += (transposed[block] @ interactions).toarray()
    gram.flat[:: n_items + 1] += ridge
    return _inverted(gram, ridge)


def _inverted(gram: Weights, ridge: float) -> Weights:
    """Invert a symmetric, positive definite matrix in its own memory.

    Raises:
        UserError: If it is not positive definite, as far as its precision can tell.
    """
    factorise, invert = get_lapack_funcs(("potrf", "potri"), (gram,))
    # The transpose is the same matrix in Fortran's order, which LAPACK overwrites without a copy.
    _, failed = factorise(gram.T, lower=True, overwrite_a=True, clean=False)
    if failed:
        raise UserError(
            f"a ridge of {ridge:g} leaves the item-item matrix singular in {gram.dtype}; raise reg_weight "
            "(L3AE: the sum of the last two of l3ae_lambdas)"
        )
    invert(gram.T, lower=True, overwrite_c=True)  # the upper triangle of `gram`
    for rows in _blocks(len(gram)):
        square = gram[rows, rows]
        square[:] = np.triu(square) + np.triu(square, 1).T
        gram[rows.stop :, rows] = gram[rows, rows.stop :].T
    return gram


def _blocks(n: int) -> Iterator[slice]:
    """Yield slices that cover n rows."""
    for start in range(0, n, _BLOCK):
        yield slice(start, min(start + _BLOCK, n))
