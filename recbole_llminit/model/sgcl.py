"""SGCL: one supervised graph-contrastive loss, without negatives.

Zhang et al., "SGCL: Unifying Self-Supervised and Supervised Learning for Graph Recommendation",
RecSys 2025 (arXiv 2507.13336).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from recbole.utils import InputType

from recbole_llminit.model.lightgcn import LightGCN
from recbole_llminit.nn.contrastive import contrastive_loss
from recbole_llminit.nn.receptive_field import propagate_to


class SGCL(LightGCN):
    """LightGCN trained by the supervised graph-contrastive loss.

    The published code exponentiates and declares pairwise input, so that a negative is drawn for
    every positive and never used; here the loss is a log-sum-exp and no negative is drawn.
    """

    input_type = InputType.POINTWISE  # the spec lets no negatives be drawn, which would be rows of their own

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.temperature: float = config["temperature"]
        self.label_field: str = config["LABEL_FIELD"]

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        """Return the loss of a batch of positive pairs, summed over the batch.

        Raises:
            ValueError: If the batch carries labels, that is, sampled negatives.
        """
        rows = self.positives(interaction)
        nodes, _ = propagate_to(self.norm_adj_matrix, self.get_ego_embeddings(), self.n_layers, rows)
        x, y = F.normalize(nodes).chunk(2)
        return contrastive_loss(x, y, self.temperature)

    def positives(self, interaction: Any) -> torch.Tensor:
        """Return the rows of the batch's users, then items, (2 * batch,), and forget cached scores."""
        if self.label_field in interaction:
            raise ValueError(
                f"{type(self).__name__} got a batch with '{self.label_field}': its pairs must all be "
                "positive; leave train_neg_sample_args unset"
            )
        self.restore_user_e, self.restore_item_e = None, None
        return self.rows(interaction, self.USER_ID, self.ITEM_ID)
