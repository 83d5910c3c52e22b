"""A-LLMRec's projections into the space of a language model's token vectors (second stage, section 4.2)."""

from __future__ import annotations

from torch import nn


def user_projection(d: int, width: int) -> nn.Sequential:
    """Return the projection of user states from d to `width`: Linear, LayerNorm, LeakyReLU, Linear."""
    return _projection(d, width, nn.LeakyReLU())


def item_projection(latent: int, width: int) -> nn.Sequential:
    """Return the projection of joint item vectors to `width`: Linear, LayerNorm, GELU, Linear."""
    return _projection(latent, width, nn.GELU())


def _projection(d: int, width: int, activation: nn.Module) -> nn.Sequential:
    layers = nn.Sequential(nn.Linear(d, width), nn.LayerNorm(width), activation, nn.Linear(width, width))
    for linear in (layers[0], layers[3]):
        nn.init.xavier_normal_(linear.weight)
    return layers
