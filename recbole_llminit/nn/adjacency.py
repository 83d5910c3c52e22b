"""The symmetrically normalised adjacency matrix of the user-item graph."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

_EPSILON = 1e-7  # added to every degree, as RecBole does


def normalized_adjacency(interactions: sp.spmatrix) -> sp.csr_matrix:
    """Return D^-1/2 A D^-1/2 of the bipartite graph, users first, without self-loops.

    LightGCN (He et al., SIGIR 2020), Equation 8. An interaction that occurs twice makes one edge.

    Args:
        interactions: (n_users, n_items), one entry for each interaction.

    Returns:
        (n_users + n_items, n_users + n_items) float32, symmetric; isolated nodes have empty rows.
    """
    edges = sp.csr_matrix(interactions, dtype=np.float32)
    edges.sum_duplicates()
    edges.data[:] = 1.0
    adjacency = sp.bmat([[None, edges], [edges.T, None]], format="csr", dtype=np.float32)
    scale = sp.diags((np.asarray(adjacency.sum(axis=1)).ravel() + _EPSILON) ** -0.5)
    return sp.csr_matrix(scale @ adjacency @ scale, dtype=np.float32)
