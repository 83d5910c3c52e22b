"""RecBole's LightGCN on a CSR graph; stands beneath LLMInitLightGCN, SGCL and MixSGCL.

He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation",
SIGIR 2020 (arXiv 2002.02126). Same parameters, loss and scores as RecBole's.
"""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.general_recommender.lightgcn import LightGCN as RecBoleLightGCN

from recbole_llminit.nn.adjacency import normalized_adjacency
from recbole_llminit.nn.propagation import Graph, propagate
from recbole_llminit.nn.receptive_field import propagate_to


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

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        """Return RecBole's loss, computed from the batch's rows."""
        self.restore_user_e, self.restore_item_e = None, None
        start = self.get_ego_embeddings()
        rows = self.rows(interaction, self.USER_ID, self.ITEM_ID, self.NEG_ITEM_ID)
        nodes, own = propagate_to(self.norm_adj_matrix, start, self.n_layers, rows)
        user, positive, negative = nodes.chunk(3)
        loss = self.mf_loss((user * positive).sum(dim=1), (user * negative).sum(dim=1))
        return loss + self.reg_weight * self.reg_loss(*own.chunk(3), require_pow=self.require_pow)

    def rows(self, interaction: Any, user: str, *items: str) -> torch.Tensor:
        """Return the rows of a batch's users, then items, in the table of all nodes: (columns * batch,)."""
        return torch.cat([interaction[user], *(interaction[item] + self.n_users for item in items)])
