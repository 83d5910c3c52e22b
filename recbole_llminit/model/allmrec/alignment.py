"""The networks and losses of A-LLMRec's first stage, which map items and texts into one latent space.

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
    """Encoders of items and of texts into the latent space; subclasses add decoders and loss terms.

    An encoder is a linear layer and a sigmoid, after the hidden layers (linear, ReLU, dropout) whose
    widths `settings.layers` gives. Every subclass has an `item_decoder` to the backbone's space (d).
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
            e: (2 * batch, latent) encoded items: the positives, then the negatives.
            q: (2 * batch, latent) encoded texts of the same items.
            items: (2 * batch, d) the backbone's item vectors.
            texts: (2 * batch, d_llm) text vectors.
            ids: (2 * batch,) item ids.
        """
        raise NotImplementedError


class Reconstructing(Alignment):
    """Match latent vectors by squared distance, and reconstruct items and texts (equations 1 to 3)."""

    def __init__(self, d: int, d_llm: int, settings: BridgeSettings) -> None:
        super().__init__(d, d_llm, settings)
        self.item_decoder = _decoder(d, settings)
        self.text_decoder = _decoder(d_llm, settings)

    def terms(
        self, e: torch.Tensor, q: torch.Tensor, items: torch.Tensor, texts: torch.Tensor, ids: torch.Tensor
    ) -> Terms:
        """Return three scalars: matching, alpha * item reconstruction, beta * text reconstruction.

        Each adds the mean over positives and the mean over negatives, which is twice the mean over both.
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
    """Match latent vectors by InfoNCE instead of the squared distance, without reconstruction.

    This variant is later than the paper, and no more of it has been published than that. InfoNCE depends
    on directions alone, so the latent vectors have unit length instead of passing a sigmoid; loss and score
    then use the same vectors. Without decoders, scoring needs a map from the latent space to that of the
    user states. It is the simplest one, a matrix, which is learnt from the recommendation loss alone.
    """

    squash = _Unit

    def __init__(self, d: int, d_llm: int, settings: BridgeSettings) -> None:
        super().__init__(d, d_llm, settings)
        self.item_decoder = nn.Linear(settings.latent, d, bias=False)

    def terms(
        self, e: torch.Tensor, q: torch.Tensor, items: torch.Tensor, texts: torch.Tensor, ids: torch.Tensor
    ) -> Terms:
        """Return the InfoNCE of the batch's distinct items, so that no item is its own negative."""
        first = _first_rows(ids)
        return (info_nce(e[first], q[first], self.settings.temperature),)


ALIGNMENTS: dict[Match, type[Alignment]] = {Match.MSE: Reconstructing, Match.INFONCE: Contrasting}


def recommendation_loss(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy of the scores, (batch,) each, of positives (1) and negatives (0)."""
    return F.softplus(-positive).mean() + F.softplus(negative).mean()


def _first_rows(ids: torch.Tensor) -> torch.Tensor:
    """Return the row number of the first occurrence of each distinct id."""
    distinct, group = torch.unique(ids, return_inverse=True)
    rows = torch.arange(len(ids) - 1, -1, -1, device=ids.device)
    first = torch.empty_like(distinct)
    first[group.flip(0)] = rows
    return first


def _stack(width: int, out: int, settings: BridgeSettings) -> list[nn.Module]:
    """Return the hidden layers of widths ``settings.layers`` and a last linear layer."""
    return _layers([width, *settings.layers, out], settings.dropout)


def _decoder(width: int, settings: BridgeSettings) -> nn.Sequential:
    """Return a decoder with the encoder's layers in reverse order, without the sigmoid."""
    return nn.Sequential(*_layers([settings.latent, *settings.layers[::-1], width], settings.dropout))


def _layers(widths: list[int], dropout: float) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Linear(widths[0], widths[1])]
    for before, after in pairwise(widths[1:]):
        layers += [nn.ReLU(), nn.Dropout(dropout), nn.Linear(before, after)]
    return layers
