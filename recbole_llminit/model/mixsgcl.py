"""MixSGCL: SGCL with two additional views of each batch, made by mixing vectors.

Zhang et al., "Mixed Supervised Graph Contrastive Learning for Recommendation", arXiv 2404.15954.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from recbole_llminit.model.sgcl import SGCL
from recbole_llminit.nn.contrastive import contrastive_loss
from recbole_llminit.nn.propagation import layers


class MixSGCL(SGCL):
    """A LightGCN trained by SGCL's loss on a batch's pairs, on node-mixed pairs and on edge-mixed pairs.

    The published code draws its mixing weights on CUDA only; here they are drawn on the model's device.
    Reads the keys of `SGCL`.
    """

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        """Return the sum of the losses of the three views of a batch of positive pairs, a scalar."""
        rows = self.positives(interaction)
        stack = torch.stack(layers(self.norm_adj_matrix, self.get_ego_embeddings(), self.n_layers), dim=1)
        plain = _pairs(stack.mean(dim=1), rows)
        nodes = _pairs(mix_layers(stack), rows)
        views = (plain, nodes, mix_edges(*plain))
        losses = [contrastive_loss(x, y, self.temperature) for x, y in views]
        return losses[0] + losses[1] + losses[2]


def _pairs(nodes: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the batch's user and item vectors of unit length, (batch, d) each, from all nodes (n, d)."""
    users, items = F.normalize(nodes[rows]).chunk(2)
    return users, items


def mix_layers(stack: torch.Tensor) -> torch.Tensor:
    """Average each node's layers, (n, n_layers + 1, d), with random weights that sum to 1: (n, d)."""
    weights = torch.rand(stack.shape[:2], device=stack.device)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return (weights.unsqueeze(2) * stack).sum(dim=1)


def mix_edges(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix user x and item y of each pair, (batch, d) each; a vector itself has at most half the weight."""
    own = 0.5 * torch.rand((len(x), 1), device=x.device)
    return F.normalize(own * x + (1 - own) * y), F.normalize(own * y + (1 - own) * x)
