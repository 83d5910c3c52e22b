"""Read and check the config keys of MoRec's models."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from recbole_llminit.initialize.settings import Settings
from recbole_llminit.nn.text_projection import Fusion, Shape
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.values import choice, share, whole


@dataclass(frozen=True)
class ProjectionSettings:
    """The checked values of the keys that decide how items are computed from their text."""

    shape: Shape
    center: bool
    shuffle_items: bool

    @classmethod
    def from_config(cls, config: Any) -> ProjectionSettings:
        """Read and check the keys.

        Reads `llm_embedding`, `model`, `morec_mlp_layers`, `morec_dropout`, `morec_fusion` and the keys of
        `initialize.settings.Settings`.

        Raises:
            UserError: If a key has a value that it does not accept, or if ``llm_embedding`` is ``none``.
        """
        if config["llm_embedding"] in (None, "none"):
            raise UserError(
                f"llm_embedding 'none': {config['model']} computes its items from vectors; name a table"
            )
        shared = Settings.from_config(config)
        shape = Shape(
            layers=whole(config, "morec_mlp_layers", 0),
            dropout=share(config, "morec_dropout"),
            fusion=choice(config, "morec_fusion", Fusion),
        )
        return cls(shape, shared.center, shared.shuffle_items)


class Backbone(str, Enum):
    """How user and item vectors are transformed before their inner product is the score."""

    MF = "mf"  # not at all, as in matrix factorisation
    LIGHTGCN = "lightgcn"  # by LightGCN's propagation over the training interactions


class Users(str, Enum):
    """Where a user's vector comes from."""

    TABLE = "table"  # a trained embedding table with one row for each user
    POOLED = "pooled"  # the mean of the vectors of the user's items in training


@dataclass(frozen=True)
class MoRecSettings:
    """The checked values of the keys that MoRec has and MoRecSASRec lacks."""

    backbone: Backbone
    users: Users

    @classmethod
    def from_config(cls, config: Any) -> MoRecSettings:
        """Read and check the keys, including those of `ProjectionSettings`.

        Reads `morec_backbone`, `morec_users` and the keys of `ProjectionSettings`.

        Raises:
            UserError: If a key has a value that it does not accept.
        """
        ProjectionSettings.from_config(config)
        return cls(choice(config, "morec_backbone", Backbone), choice(config, "morec_users", Users))
