"""A faster LightGCN on a CSR graph, the base class of LLMInitLightGCN, SGCL, MixSGCL and MoRec.

He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation",
SIGIR 2020 (arXiv 2002.02126). Parameters, loss and scores are those of RecBole's LightGCN.
"""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.general_recommender.lightgcn import LightGCN as RecBoleLightGCN
from recbole.utils import InputType

from recbole_llminit.nn.adjacency import normalized_adjacency
from recbole_llminit.nn.propagation import Graph, propagate
from recbole_llminit.nn.receptive_field import propagate_to


class LightGCN(RecBoleLightGCN):  # type: ignore[misc]
    """LightGCN whose adjacency matrix is a symmetric `Graph`, used for the forward and backward product.

    Reads the keys of RecBole's LightGCN.
    """

    def get_norm_adj_mat(self) -> Graph:
        """Return the normalised adjacency matrix, (n_users + n_items, n_users + n_items)."""
        return Graph.from_scipy(normalized_adjacency(self.interaction_matrix))

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the user vectors (n_users, d) and item vectors (n_items, d) after propagation."""
        nodes = propagate(self.norm_adj_matrix, self.get_ego_embeddings(), self.n_layers)
        users, items = torch.split(nodes, [self.n_users, self.n_items])
        return users, items

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        """Return RecBole's loss, with the propagation computed for the rows of the batch only."""
        self.restore_user_e, self.restore_item_e = None, None
        start = self.get_ego_embeddings()
        rows = self.rows(interaction, self.USER_ID, self.ITEM_ID, self.NEG_ITEM_ID)
        nodes, own = propagate_to(self.norm_adj_matrix, start, self.n_layers, rows)
        user, positive, negative = nodes.chunk(3)
        loss = self.mf_loss((user * positive).sum(dim=1), (user * negative).sum(dim=1))
        return loss + self.reg_weight * self.reg_loss(*own.chunk(3), require_pow=self.require_pow)

    def rows(self, interaction: Any, user: str, *items: str) -> torch.Tensor:
        """Return the node ids of a batch's users, then of its items, field by field: (fields * batch,)."""
        return torch.cat([interaction[user], *(interaction[item] + self.n_users for item in items)])


class PositiveLightGCN(LightGCN):
    """LightGCN for a loss of positive pairs alone; its spec draws no negatives.

    Reads `LABEL_FIELD` and the keys of RecBole's LightGCN.
    """

    input_type = InputType.POINTWISE  # safe because the spec draws no negatives, which would be labelled rows

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.label_field: str = config["LABEL_FIELD"]

    def positives(self, interaction: Any) -> torch.Tensor:
        """Return the node ids of the batch's users, then items, (2 * batch,), and clear cached scores.

        Raises:
            ValueError: If the batch carries labels.
        """
        if self.label_field in interaction:
            raise ValueError(
                f"{type(self).__name__} got a batch with '{self.label_field}': its pairs must all be "
                "positive; leave train_neg_sample_args unset"
            )
        self.restore_user_e, self.restore_item_e = None, None
        return self.rows(interaction, self.USER_ID, self.ITEM_ID)
