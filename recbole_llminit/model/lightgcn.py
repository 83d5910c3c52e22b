"""RecBole's LightGCN on a CSR graph; stands beneath LLMInitLightGCN, SGCL and MixSGCL.

He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation",
SIGIR 2020 (arXiv 2002.02126). Same parameters, loss and scores as RecBole's.
"""

from __future__ import annotations

import torch
from recbole.model.general_recommender.lightgcn import LightGCN as RecBoleLightGCN

from recbole_llminit.graph.adjacency import normalized_adjacency
from recbole_llminit.graph.propagation import Graph, propagate


class LightGCN(RecBoleLightGCN):  # type: ignore[misc]
    """LightGCN whose adjacency is built by sparse algebra and multiplied forward and backward alike."""

    def get_norm_adj_mat(self) -> Graph:
        """Return the (n_users + n_items, n_users + n_items) normalised adjacency."""
        return Graph.from_scipy(normalized_adjacency(self.interaction_matrix))

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the propagated users (n_users, d) and items (n_items, d)."""
        nodes = propagate(self.norm_adj_matrix, self.get_ego_embeddings(), self.n_layers)
        users, items = torch.split(nodes, [self.n_users, self.n_items])
        return users, items
