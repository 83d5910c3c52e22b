"""The config keys of A-LLMRec, checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.values import choice, number, share, whole


class Match(str, Enum):
    """How an item's two latent vectors are brought together."""

    MSE = "mse"  # the paper's: squared distance, and both autoencoders reconstruct
    INFONCE = "infonce"  # each finds its own among the batch's; no reconstruction


class Positions(str, Enum):
    """Which positions of a user's training sequence are learnt from."""

    LAST = "last"  # the paper's: one for each user
    ALL = "all"  # the paper's costlier variant, a little better there


class RankBy(str, Enum):
    """What decides the order of the candidates."""

    LIKELIHOOD = "likelihood"  # of each title, normalised by its length
    GENERATION = "generation"  # the paper's: the title that is written, if it is one of them


@dataclass(frozen=True)
class BridgeSettings:
    """How the two spaces are bridged."""

    match: Match
    temperature: float
    latent: int
    layers: tuple[int, ...]
    dropout: float
    alpha: float
    beta: float
    cold: int
    text_encoder: str | None = None

    @classmethod
    def from_config(cls, config: Any) -> BridgeSettings:
        """Read the ``allmrec_*`` keys.

        Raises:
            UserError: If a value is not one of those a key takes, or if there are no vectors.
        """
        if config["llm_embedding"] in (None, "none"):
            raise UserError(
                f"{config['model']} needs vectors of the items' text: set llm_embedding to a table"
            )
        choice(config, "allmrec_positions", Positions)
        return cls(
            match=choice(config, "allmrec_match", Match),
            temperature=number(config, "allmrec_temperature", 1e-6),
            latent=whole(config, "allmrec_latent", 1),
            layers=_widths(config, "allmrec_mlp_layers"),
            dropout=share(config, "allmrec_dropout"),
            alpha=number(config, "allmrec_alpha", 0.0),
            beta=number(config, "allmrec_beta", 0.0),
            cold=whole(config, "allmrec_cold", -1),
            text_encoder=config["allmrec_text_encoder"],
        )


@dataclass(frozen=True)
class RankerSettings:
    """How the second stage prompts and ranks."""

    rank_by: RankBy
    length_penalty: float
    history: int
    candidates: int
    rerank: int
    title_tokens: int
    rows: int

    @classmethod
    def from_config(cls, config: Any) -> RankerSettings:
        """Read the ``allmrec_*`` keys.

        Raises:
            UserError: If a value is not one of those a key takes.
        """
        choice(config, "allmrec_positions", Positions)
        for key in ("allmrec_train_users", "allmrec_eval_users"):
            if config[key] is not None:
                whole(config, key, 1)
        return cls(
            rank_by=choice(config, "allmrec_rank_by", RankBy),
            length_penalty=number(config, "allmrec_length_penalty", 0.0),
            history=whole(config, "allmrec_history", 1),
            candidates=whole(config, "allmrec_candidates", 2),
            rerank=whole(config, "allmrec_rerank", 1),
            title_tokens=whole(config, "allmrec_title_tokens", 1),
            rows=whole(config, "allmrec_llm_rows", 1),
        )


def _widths(config: Any, key: str) -> tuple[int, ...]:
    value = config[key]
    widths = value if isinstance(value, list) else None
    if widths is None or any(isinstance(w, bool) or not isinstance(w, int) or w < 1 for w in widths):
        raise UserError(f"{key} '{value}' must be a list of widths, such as [512, 256], or []")
    return tuple(widths)
