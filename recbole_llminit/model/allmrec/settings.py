"""Read and check the config keys of A-LLMRec."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.values import choice, number, share, whole


class Match(str, Enum):
    """How the latent vectors of an item and of its text are matched."""

    MSE = "mse"  # as in the paper: squared distance, with reconstruction of items and texts
    INFONCE = "infonce"  # contrastive: recognise the item's text in the batch; no reconstruction


class Positions(str, Enum):
    """The positions of a user's training sequence that are training examples."""

    LAST = "last"  # as in the paper: the last, hence one example for each user
    ALL = "all"  # the paper's costlier variant, slightly better in the paper


class RankBy(str, Enum):
    """How the language model orders the candidates."""

    LIKELIHOOD = "likelihood"  # by the likelihood of each title, normalised by its length
    GENERATION = "generation"  # as in the paper: the candidate whose title it generates, and no other


@dataclass(frozen=True)
class BridgeSettings:
    """The checked values of the keys of A-LLMRec's first stage."""

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
        """Read and check the keys.

        Reads `llm_embedding`, `model`, `allmrec_positions`, `allmrec_match`, `allmrec_temperature`,
        `allmrec_latent`, `allmrec_mlp_layers`, `allmrec_dropout`, `allmrec_alpha`, `allmrec_beta`,
        `allmrec_cold` and `allmrec_text_encoder`.

        Raises:
            UserError: If a key has a value that it does not accept, or if ``llm_embedding`` is ``none``.
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
    """The checked values of the keys of A-LLMRec's second stage."""

    rank_by: RankBy
    length_penalty: float
    history: int
    candidates: int
    rerank: int
    title_tokens: int
    rows: int

    @classmethod
    def from_config(cls, config: Any) -> RankerSettings:
        """Read and check the keys.

        Reads `allmrec_positions`, `allmrec_train_users`, `allmrec_eval_users`, `allmrec_rank_by`,
        `allmrec_length_penalty`, `allmrec_history`, `allmrec_candidates`, `allmrec_rerank`,
        `allmrec_title_tokens` and `allmrec_llm_rows`.

        Raises:
            UserError: If a key has a value that it does not accept.
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
