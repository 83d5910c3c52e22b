"""The initialisation's config keys, checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.values import choice, flag, is_number


class Selection(str, Enum):
    """How ``d_llm`` dimensions become k."""

    VAR = "var"  # the k with the highest variance over the items
    RAND = "rand"  # k drawn without replacement
    UNI = "uni"  # every floor(d_llm / k)-th
    FULL = "full"  # all of them; the host becomes d_llm wide
    SVD = "svd"  # the k leading right singular directions: keeps inner products best
    PCA = "pca"  # the same of the centred vectors: keeps differences best
    WHITEN = "whiten"  # PCA with every direction scaled to unit variance
    RANDOM_PROJECTION = "random_projection"  # a Gaussian map: the control without data
    PREFIX = "prefix"  # the first k: for encoders trained with nested (Matryoshka) losses
    RAND_WITH_REPLACEMENT = "rand_with_replacement"  # what the authors' code runs for `rand`


class Scope(str, Enum):
    """Items over which variance is taken."""

    ALL = "all"
    POPULAR = "popular"  # the 20 % with the highest training degree, as the authors' code does


class Pooling(str, Enum):
    """How a user's vector comes from the items of the training interactions."""

    MEAN = "mean"
    MAX = "max"
    LIGHTGCN = "lightgcn"  # one symmetrically normalised hop
    NONE = "none"  # users keep the host's own initialiser


@dataclass(frozen=True)
class Settings:
    """The checked values of the ``llm_*`` keys that shape the starting tables."""

    selection: Selection
    scope: Scope
    center: bool
    pooling: Pooling
    rescale: str | float  # "none", "host", or the root mean square that a table is scaled to
    shuffle_items: bool
    noise: bool = False

    @classmethod
    def from_config(cls, config: Any) -> Settings:
        """Read the keys from RecBole's config.

        Reads `llm_selection`, `llm_selection_scope`, `llm_center`, `llm_pooling`, `llm_rescale`,
        `llm_shuffle_items` and `llm_noise`.

        Raises:
            UserError: If a value is not one of those a key takes.
        """
        return cls(
            selection=choice(config, "llm_selection", Selection),
            scope=choice(config, "llm_selection_scope", Scope),
            center=flag(config, "llm_center"),
            pooling=choice(config, "llm_pooling", Pooling),
            rescale=_rescale(config),
            shuffle_items=flag(config, "llm_shuffle_items"),
            noise="llm_noise" in config and flag(config, "llm_noise"),  # older checkpoints lack it
        )


def _rescale(config: Any) -> str | float:
    value = config["llm_rescale"]
    if value is None or value in ("none", "host"):
        return value or "none"
    if not is_number(value) or not 0 < value < float("inf"):
        raise UserError(f"llm_rescale '{value}' must be none, host or a positive number")
    return float(value)
