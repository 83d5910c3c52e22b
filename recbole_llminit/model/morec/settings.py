"""The config keys of MoRec's models, checked."""

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
    """The checked values of the keys that say how items are computed from their text."""

    shape: Shape
    center: bool
    shuffle_items: bool

    @classmethod
    def from_config(cls, config: Any) -> ProjectionSettings:
        """Read ``morec_mlp_layers``, ``morec_dropout``, ``morec_fusion`` and the ``llm_*`` keys.

        Raises:
            UserError: If a value is not one of those a key takes, or if there are no vectors.
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
    """What users and items go through before they meet."""

    MF = "mf"  # nothing: the score is their inner product
    LIGHTGCN = "lightgcn"  # propagation over the training interactions


class Users(str, Enum):
    """Where a user's vector comes from."""

    TABLE = "table"  # a trained vector of the user's own
    POOLED = "pooled"  # the mean of the items of the training interactions


@dataclass(frozen=True)
class MoRecSettings:
    """The checked values of MoRec's own keys."""

    backbone: Backbone
    users: Users

    @classmethod
    def from_config(cls, config: Any) -> MoRecSettings:
        """Read ``morec_backbone`` and ``morec_users``, and check the projection's keys.

        Raises:
            UserError: If a value is not one of those a key takes.
        """
        ProjectionSettings.from_config(config)
        return cls(choice(config, "morec_backbone", Backbone), choice(config, "morec_users", Users))
