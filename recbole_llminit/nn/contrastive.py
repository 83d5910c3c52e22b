"""Contrastive losses within a batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F


def info_nce(x: torch.Tensor, y: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the symmetric InfoNCE loss of paired rows, a scalar.

    It is the mean of two cross-entropies: that of recognising y_b among all rows of `y` given x_b, and
    that of recognising x_b among all rows of `x` given y_b. Similarities are cosines.

    Args:
        x: (n, d), of any length.
        y: (n, d), of any length; row b belongs to row b of `x`.
        temperature: Divides the similarities.
    """
    similar = F.normalize(x) @ F.normalize(y).T / temperature
    own = torch.arange(len(x), device=x.device)
    return (F.cross_entropy(similar, own) + F.cross_entropy(similar.T, own)) / 2


def contrastive_loss(x: torch.Tensor, y: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return SGCL's supervised graph-contrastive loss of a batch of users and their items.

    The loss draws the user and the item of a pair together and separates users from users and items from
    items: sum over b of -x_b.y_b / t + logsumexp over c of (x_b.x_c / t, y_b.y_c / t). Terms with c = b
    and repeated users or items stay in the denominator, as in the published code.

    Zhang et al., "SGCL: Unifying Self-Supervised and Supervised Learning for Graph Recommendation",
    RecSys 2025 (arXiv 2507.13336).

    Args:
        x: (batch, d) user vectors of unit length.
        y: (batch, d) item vectors of unit length.
        temperature: t.

    Returns:
        A scalar, the sum over the batch.
    """
    # The largest similarity, of a vector with itself, is 1: log-sum-exp is shifted by it without a search.
    others = _SumOfExponentials.apply(x, temperature) + _SumOfExponentials.apply(y, temperature)
    return (torch.log(others) + (1 - (x * y).sum(dim=1)) / temperature).sum()


class _SumOfExponentials(torch.autograd.Function):  # type: ignore[misc]
    """For each unit vector x_b, the sum over c of exp((x_b.x_c - 1) / t): (batch, d) to (batch,).

    The (batch, batch) matrix S of exponentials is symmetric, so it is computed once for loss and
    gradient. With w the incoming gradient divided by t, the gradient is (S * (w_b + w_c)) @ x.
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
