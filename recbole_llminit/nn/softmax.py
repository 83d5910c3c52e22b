"""Log-sum-exp of similarities to every row of a large table, block by block."""

from __future__ import annotations

from typing import Any

import torch

_BLOCK = 4096  # rows of the table at a time
_KEEP = 2**29  # bytes of exponentials kept for the gradient; beyond that they are computed again


def log_sum_exp(x: torch.Tensor, y: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return, for each unit vector x_b, log of the sum over all rows of exp(x_b.y_j / t).

    The largest similarity of unit vectors is 1, so the exponentials are shifted by 1 / t without a
    search for the largest.

    Args:
        x: (batch, d) unit vectors.
        y: (n, d) unit vectors.
        temperature: t.

    Returns:
        (batch,) float32.
    """
    return torch.log(_SumOfExponentials.apply(x, y, temperature)) + 1 / temperature


class _SumOfExponentials(torch.autograd.Function):  # type: ignore[misc]
    """sum over j of exp((x_b.y_j - 1) / t), block by block of y: (batch, d) and (n, d) to (batch,)."""

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
    # exp((x.y - 1) / t) in one table: the product is scaled and shifted as it is computed.
    shift = x.new_full((1,), -1 / temperature)
    return torch.addmm(shift, x, block.T, alpha=1 / temperature).exp_()
