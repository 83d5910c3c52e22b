"""The first stage of A-LLMRec: items and their texts in one latent space.

Kim et al., "Large Language Models meet Collaborative Filtering: An Efficient All-round LLM-based
Recommender System", KDD 2024 (arXiv 2404.11343), section 4.1.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from recbole_llminit.model.allmrec.settings import BridgeSettings, Match
from recbole_llminit.nn.contrastive import info_nce

Terms = tuple[torch.Tensor, ...]


class Alignment(nn.Module):  # type: ignore[misc]
    """Two encoders into the latent space and one decoder back to the backbone's.

    An encoder is Linear, sigmoid; `layers` puts hidden layers (ReLU, dropout) before it.
    """

    squash: type[nn.Module] = nn.Sigmoid

    def __init__(self, d: int, d_llm: int, settings: BridgeSettings) -> None:
        super().__init__()
        self.settings = settings
        self.item_encoder = nn.Sequential(*_stack(d, settings.latent, settings), self.squash())
        self.text_encoder = nn.Sequential(*_stack(d_llm, settings.latent, settings), self.squash())

    def terms(
        self, e: torch.Tensor, q: torch.Tensor, items: torch.Tensor, texts: torch.Tensor, ids: torch.Tensor
    ) -> Terms:
        """Return the loss terms of a batch of items.

        Args:
            e: (2 * batch, latent) encoded items; the positives, then the negatives.
            q: (2 * batch, latent) encoded texts.
            items: (2 * batch, d) the backbone's vectors.
            texts: (2 * batch, d_llm) the texts' vectors.
            ids: (2 * batch,) item ids.
        """
        raise NotImplementedError


class Reconstructing(Alignment):
    """Squared distance between the latent vectors, and both autoencoders reconstruct (equations 1 to 3)."""

    def __init__(self, d: int, d_llm: int, settings: BridgeSettings) -> None:
        super().__init__(d, d_llm, settings)
        self.item_decoder = _decoder(d, settings)
        self.text_decoder = _decoder(d_llm, settings)

    def terms(
        self, e: torch.Tensor, q: torch.Tensor, items: torch.Tensor, texts: torch.Tensor, ids: torch.Tensor
    ) -> Terms:
        """Return matching, alpha * item reconstruction, beta * text reconstruction: scalars.

        Each is the mean over positives plus the mean over negatives, hence twice the mean over both.
        """
        return (
            2 * F.mse_loss(e, q),
            2 * self.settings.alpha * F.mse_loss(self.item_decoder(e), items),
            2 * self.settings.beta * F.mse_loss(self.text_decoder(q), texts),
        )


class _Unit(nn.Module):  # type: ignore[misc]
    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return F.normalize(latent)


class Contrasting(Alignment):
    """InfoNCE instead of the squared distance; nothing is reconstructed.

    A variant after the paper, of which only that much is published. The loss sees directions alone, so
    the latent vectors have unit length instead of a sigmoid: what compares them and what scores them
    then see the same. Without decoders a score needs a map from the latent space to the user's: the
    smallest, one matrix, learnt from the recommendation loss alone.
    """

    squash = _Unit

    def __init__(self, d: int, d_llm: int, settings: BridgeSettings) -> None:
        super().__init__(d, d_llm, settings)
        self.item_decoder = nn.Linear(settings.latent, d, bias=False)

    def terms(
        self, e: torch.Tensor, q: torch.Tensor, items: torch.Tensor, texts: torch.Tensor, ids: torch.Tensor
    ) -> Terms:
        """Return the InfoNCE of the batch's distinct items: an item is not its own negative."""
        first = _first_rows(ids)
        return (info_nce(e[first], q[first], self.settings.temperature),)


ALIGNMENTS: dict[Match, type[Alignment]] = {Match.MSE: Reconstructing, Match.INFONCE: Contrasting}


def recommendation_loss(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy of scores, (batch,) each: positives to 1, negatives to 0."""
    return F.softplus(-positive).mean() + F.softplus(negative).mean()


def _first_rows(ids: torch.Tensor) -> torch.Tensor:
    """Return one row number for each distinct id."""
    distinct, group = torch.unique(ids, return_inverse=True)
    rows = torch.arange(len(ids) - 1, -1, -1, device=ids.device)
    first = torch.empty_like(distinct)
    first[group.flip(0)] = rows
    return first


def _stack(width: int, out: int, settings: BridgeSettings) -> list[nn.Module]:
    """Return hidden layers of ``settings.layers`` and a last linear one."""
    return _layers([width, *settings.layers, out], settings.dropout)


def _decoder(width: int, settings: BridgeSettings) -> nn.Sequential:
    """Return the encoder's mirror image, without its sigmoid."""
    return nn.Sequential(*_layers([settings.latent, *settings.layers[::-1], width], settings.dropout))


def _layers(widths: list[int], dropout: float) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Linear(widths[0], widths[1])]
    for before, after in pairwise(widths[1:]):
        layers += [nn.ReLU(), nn.Dropout(dropout), nn.Linear(before, after)]
    return layers
