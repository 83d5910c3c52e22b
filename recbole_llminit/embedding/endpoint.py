"""An encoder behind an endpoint that speaks OpenAI's embeddings protocol, at home or for money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recbole_llminit.embedding.encoder import EncoderSettings, Vectors
from recbole_llminit.utils.endpoint import Endpoint
from recbole_llminit.utils.errors import UserError

_ADVICE = "finished shards are kept: run the command again to go on"
_CHARACTERS = 4  # of English text a token, about


def estimate(
    shards: Sequence[Sequence[str]], batch_size: int, price: float | None, prompt: str | None = None
) -> str:
    """Say how many requests and tokens texts will take, and what they will cost.

    Args:
        shards: The texts to be sent; a request is of one shard.
        batch_size: Texts per request.
        price: US dollars per million tokens, if known.
        prompt: Sent with every text.
    """
    texts = [text for shard in shards for text in shard]
    tokens = sum(len((prompt or "") + text) for text in texts) / _CHARACTERS
    cost = "give --price to see the cost" if price is None else f"about ${tokens * price / 1e6:,.4f}"
    requests = sum(-(-len(shard) // batch_size) for shard in shards)
    return (
        f"{len(texts):,} texts in {requests:,} requests, about {tokens:,.0f} tokens "
        f"({_CHARACTERS} characters each): {cost}"
    )


class EndpointEncoder:
    """A model behind an endpoint. The key is read from the environment and kept nowhere else.

    Args:
        settings: See `EncoderSettings`; `base_url` is set.
        batch_size: Texts per request.
        per_minute: Most requests per minute; None: no limit of ours.

    Raises:
        ImportError: If openai is not installed.
        UserError: If the URL holds a password, or an option is not the endpoint's.
    """

    def __init__(
        self, settings: EncoderSettings, batch_size: int = 128, per_minute: float | None = None
    ) -> None:
        self._endpoint = Endpoint(settings.base_url, "--base-url", settings.encoder, per_minute, _ADVICE)
        _check_options(settings)
        self._settings, self._batch_size = settings, batch_size
        self.facts: dict[str, Any] = {
            "encoder": settings.name,
            "prompt": settings.prompt,
            "base_url": settings.base_url,
        }

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Return vectors (n_texts, d_llm) float32 of texts, in their order.

        Raises:
            UserError: If the server refuses, fails past all retries, or answers with something else.
        """
        prompt = self._settings.prompt or ""
        batches = [texts[at : at + self._batch_size] for at in range(0, len(texts), self._batch_size)]
        vectors = [self._request([prompt + text for text in batch]) for batch in batches]
        if len({batch.shape[1] for batch in vectors}) > 1:
            raise UserError(f"{self._settings.base_url} answered with vectors of different dimensions")
        return np.concatenate(vectors)

    def _request(self, texts: list[str]) -> Vectors:
        with self._endpoint.explained():
            reply = self._endpoint.client.embeddings.create(
                model=self._settings.encoder, input=texts, encoding_format="float"
            )
            rows = sorted(((entry.index, entry.embedding) for entry in reply.data), key=lambda row: row[0])
        if len(rows) != len(texts):
            raise UserError(f"{self._settings.base_url} answered {len(rows)} vectors to {len(texts)} texts")
        if [index for index, _ in rows] != list(range(len(texts))):
            raise UserError(f"{self._settings.base_url} does not say which vector belongs to which text")
        if len({len(row) for _, row in rows if isinstance(row, list)}) > 1:
            raise UserError(f"{self._settings.base_url} answered with vectors of different dimensions")
        try:
            with np.errstate(over="ignore"):  # what is too large is infinite, and refused later
                vectors = np.array([row for _, row in rows], dtype=np.float32)
        except (ValueError, TypeError):
            vectors = np.empty(0, dtype=np.float32)
        if vectors.ndim != 2 or not vectors.shape[1]:
            raise UserError(f"{self._settings.base_url} answered with something else than vectors of numbers")
        return vectors

    def close(self) -> None:
        """Close the connection."""
        self._endpoint.close()


def _check_options(settings: EncoderSettings) -> None:
    """Refuse what an endpoint can't take."""
    for flag in ("revision", "max_length"):
        if getattr(settings, flag) is not None:
            raise UserError(f"--{flag.replace('_', '-')} is for local models; an endpoint decides itself")
    if settings.precision != "fp32":
        raise UserError("--precision is for local models; an endpoint decides itself")
