"""Log-sum-exp of similarities to every row of a large table, computed block by block."""

from __future__ import annotations

from typing import Any

import torch

_BLOCK = 4096  # rows of the table that are processed at a time
_KEEP = 2**29  # most bytes of exponentials that are kept for the gradient; more are computed again


def log_sum_exp(x: torch.Tensor, y: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return, for each unit vector x_b, the log of the sum over all rows j of exp(x_b.y_j / t).

    The similarity of unit vectors is at most 1, so the exponents are shifted by 1 / t without a search
    for the largest.

    Args:
        x: (batch, d) unit vectors.
        y: (n, d) unit vectors.
        temperature: t.

    Returns:
        (batch,) float32.
    """
    return torch.log(_SumOfExponentials.apply(x, y, temperature)) + 1 / temperature


def sampled_log_sum_exp(
    x: torch.Tensor,
    own: torch.Tensor,
    drawn: torch.Tensor,
    itself: torch.Tensor,
    n_rows: int,
    temperature: float,
) -> torch.Tensor:
    """Return an estimate of `log_sum_exp` over a table of which only some rows were drawn.

    The rows are drawn uniformly with replacement. The sum over those that are not the vector's own row
    stands for all the others: it is scaled by their number over the number of draws, which corrects for
    the probability of a draw and makes it unbiased. The own row's term is added exactly.

    Args:
        x: (batch, d) unit vectors.
        own: (batch,) the similarity of x_b to its own row, divided by the temperature.
        drawn: (m, d) unit vectors, the drawn rows.
        itself: (batch,) how often x_b's own row is among them.
        n_rows: Number of rows of the whole table.
        temperature: The temperature t.

    Returns:
        (batch,) float32.
    """
    everything = log_sum_exp(x, drawn, temperature)
    share = 1 - itself * torch.exp(own - everything)  # of the others
    others = everything + torch.log(share.clamp_min(torch.finfo(share.dtype).tiny))
    return torch.logaddexp(own, others + torch.log((n_rows - 1) / (len(drawn) - itself).clamp_min(1)))


class _SumOfExponentials(torch.autograd.Function):  # type: ignore[misc]
    """Sum over j of exp((x_b.y_j - 1) / t), block by block of y: (batch, d) and (n, d) to (batch,)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor, temperature: float) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x, y = x.float(), y.float()
            total = x.new_zeros(len(x))
            kept = []
            keep = 4 * len(x) * len(y) <= _KEEP
            for block in y.split(_BLOCK):
                similar = _exponentials(x, block, temperature)
                total += similar.sum(dim=1)
                if keep:
                    kept.append(similar)
        ctx.save_for_backward(x, y, *kept)
        ctx.temperature = temperature
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        x, y, *kept = ctx.saved_tensors
        with torch.autocast(x.device.type, enabled=False):
            weighted = (gradients[0].float() / ctx.temperature).unsqueeze(1) * x
            of_x, of_y = torch.zeros_like(x), torch.empty_like(y)
            for number, (block, out) in enumerate(zip(y.split(_BLOCK), of_y.split(_BLOCK), strict=True)):
                similar = kept[number] if kept else _exponentials(x, block, ctx.temperature)
                of_x.addmm_(similar, block)
                torch.mm(similar.T, weighted, out=out)
            of_x *= (gradients[0].float() / ctx.temperature).unsqueeze(1)
        return of_x, of_y, None


def _exponentials(x: torch.Tensor, block: torch.Tensor, temperature: float) -> torch.Tensor:
    # exp((x.y - 1) / t) in one table: addmm scales and shifts the product while computing it.
    shift = x.new_full((1,), -1 / temperature)
    return torch.addmm(shift, x, block.T, alpha=1 / temperature).exp_()
