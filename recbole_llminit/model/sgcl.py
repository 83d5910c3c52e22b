"""SGCL: LightGCN trained by one supervised graph-contrastive loss, without sampled negatives.

Zhang et al., "SGCL: Unifying Self-Supervised and Supervised Learning for Graph Recommendation",
RecSys 2025 (arXiv 2507.13336).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from recbole_llminit.model.lightgcn import PositiveLightGCN
from recbole_llminit.nn.contrastive import contrastive_loss
from recbole_llminit.nn.receptive_field import propagate_to


class SGCL(PositiveLightGCN):
    """LightGCN trained by the supervised graph-contrastive loss.

    The published code sums exponentials directly and declares pairwise input, so that a negative is drawn
    for every positive and never used. Here the loss is a log-sum-exp and no negative is drawn. Reads
    `temperature` and the keys of RecBole's LightGCN.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.temperature: float = config["temperature"]

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        """Return the loss of a batch of positive pairs, summed over the batch.

        Raises:
            ValueError: If the batch carries labels, that is, sampled negatives.
        """
        rows = self.positives(interaction)
        nodes, _ = propagate_to(self.norm_adj_matrix, self.get_ego_embeddings(), self.n_layers, rows)
        x, y = F.normalize(nodes).chunk(2)
        return contrastive_loss(x, y, self.temperature)
