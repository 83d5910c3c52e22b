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
from recbole_llminit.nn.receptive_field import propagate_to


class SGCL(LightGCN):
    """LightGCN trained by the supervised graph-contrastive loss.

    The published code exponentiates and declares pairwise input, so that a negative is drawn for
    every positive and never used; here the loss is a log-sum-exp and no negative is drawn.
    """

    input_type = InputType.POINTWISE
    draws_negatives = False  # POINTWISE alone would put sampled negatives among the positives

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


def contrastive_loss(x: torch.Tensor, y: torch.Tensor, temperature: float) -> torch.Tensor:
    """Pull each pair together, push users from users and items from items, within the batch.

    sum over b of -x_b.y_b / t + logsumexp over c of (x_b.x_c / t, y_b.y_c / t). Self terms and
    repeated users or items stay in the denominator, as in the published code.

    Args:
        x: (batch, d) users of unit length.
        y: (batch, d) items of unit length.
        temperature: t.

    Returns:
        Scalar, the sum over the batch.
    """
    # The largest similarity is known, a vector's own: log-sum-exp is shifted by it without a search.
    crowd = _Crowd.apply(x, temperature) + _Crowd.apply(y, temperature)
    return (torch.log(crowd) + (1 - (x * y).sum(dim=1)) / temperature).sum()


class _Crowd(torch.autograd.Function):  # type: ignore[misc]
    """For each unit vector, sum over c of exp((x_b.x_c - 1) / t): (batch, d) to (batch,).

    The (batch, batch) table S of similarities is symmetric, so that one exponential serves loss and
    gradient, and with w the gradients over t, the gradient is one product: (S * (w_b + w_c)) @ x.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, temperature: float) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            similar = (x @ x.T).sub_(1).div_(temperature).exp_()
        ctx.save_for_backward(x, similar)
        ctx.temperature = temperature
        return similar.sum(dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        x, similar = ctx.saved_tensors
        weight = gradients[0].float() / ctx.temperature
        with torch.autocast(x.device.type, enabled=False):
            return (weight.unsqueeze(1) + weight).mul_(similar) @ x, None
