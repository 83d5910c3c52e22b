"""A straightforward SGCL for RecBole, with which `benchmarks.speed` compares this project's.

It extends RecBole's LightGCN, gets pairwise batches whose negatives it does not use, and computes the loss
by the paper's formula with explicit exponentials. Zhang et al., "SGCL: Unifying Self-Supervised and
Supervised Learning for Graph Recommendation", RecSys 2025.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from recbole.model.general_recommender.lightgcn import LightGCN


class SGCL(LightGCN):
    """LightGCN trained by the supervised graph-contrastive loss."""

    def __init__(self, config: object, dataset: object) -> None:
        super().__init__(config, dataset)
        self.temperature = config["temperature"]

    def calculate_loss(self, interaction: object) -> torch.Tensor:
        """Return the loss of a batch."""
        self.restore_user_e, self.restore_item_e = None, None
        users, items = self.forward()
        x = F.normalize(users[interaction[self.USER_ID]])
        y = F.normalize(items[interaction[self.ITEM_ID]])
        pull = torch.exp((x * y).sum(dim=1) / self.temperature)
        push = torch.exp(x @ x.T / self.temperature).sum(dim=1) + torch.exp(y @ y.T / self.temperature).sum(
            dim=1
        )
        return -torch.log(pull / push).sum()
