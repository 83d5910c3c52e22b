"""Read and check the config keys of the initialisation.

The host model is the RecBole model X beneath ``LLMInit<X>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.values import choice, flag, is_number


class Selection(str, Enum):
    """How vectors of ``d_llm`` dimensions are reduced to k."""

    VAR = "var"  # the k dimensions with the highest variance over the items
    RAND = "rand"  # k dimensions drawn without replacement
    UNI = "uni"  # every floor(d_llm / k)-th dimension
    FULL = "full"  # all dimensions; the host model becomes d_llm wide
    SVD = "svd"  # the k leading right singular directions, which keep inner products best
    PROFILE_SVD = "profile_svd"  # those of the users' text profiles: the directions in which users differ
    PCA = "pca"  # the same of the centred vectors, which keep differences best
    WHITEN = "whiten"  # PCA with every direction scaled to unit variance
    RANDOM_PROJECTION = "random_projection"  # a random Gaussian map: a control that uses no data
    PREFIX = "prefix"  # the first k dimensions, for encoders trained with nested (Matryoshka) losses
    RAND_WITH_REPLACEMENT = "rand_with_replacement"  # what the authors' code runs for `rand`
    SPECTRAL = "spectral"  # singular vectors of the interactions: a control that reads no text


class Scope(str, Enum):
    """The items over which the variance is computed."""

    ALL = "all"
    POPULAR = "popular"  # the 20 % with the most training interactions, as in the authors' code


class Pooling(str, Enum):
    """How a user's vector is computed from the items of the user's training interactions."""

    MEAN = "mean"
    MAX = "max"
    LIGHTGCN = "lightgcn"  # one symmetrically normalised hop of LightGCN
    NONE = "none"  # users keep the values of the host model's initialiser


@dataclass(frozen=True)
class Settings:
    """The checked values of the ``llm_*`` keys that decide how the starting tables are computed."""

    selection: Selection | str  # or the user's own ``module:function``
    scope: Scope
    center: bool
    pooling: Pooling
    rescale: str | float  # "none", "host" (the host model's root mean square), or a root mean square
    shuffle_items: bool
    noise: bool = False

    @classmethod
    def from_config(cls, config: Any) -> Settings:
        """Read and check the keys.

        Reads `llm_selection`, `llm_selection_scope`, `llm_center`, `llm_pooling`, `llm_rescale`,
        `llm_shuffle_items` and `llm_noise`.

        Raises:
            UserError: If a key has a value that it does not accept.
        """
        return cls(
            selection=_selection(config),
            scope=choice(config, "llm_selection_scope", Scope),
            center=flag(config, "llm_center"),
            pooling=choice(config, "llm_pooling", Pooling),
            rescale=_rescale(config),
            shuffle_items=flag(config, "llm_shuffle_items"),
            noise="llm_noise" in config and flag(config, "llm_noise"),  # older checkpoints lack the key
        )


def _selection(config: Any) -> Selection | str:
    value = config["llm_selection"]
    if isinstance(value, str) and ":" in value:
        from recbole_llminit.initialize.interactions import own_function

        own_function(value)  # refused before the run if it can't be imported
        return value
    return choice(config, "llm_selection", Selection)


def _rescale(config: Any) -> str | float:
    value = config["llm_rescale"]
    if value is None or value in ("none", "host"):
        return value or "none"
    if not is_number(value) or not 0 < value < float("inf"):
        raise UserError(f"llm_rescale '{value}' must be none, host or a positive number")
    return float(value)
