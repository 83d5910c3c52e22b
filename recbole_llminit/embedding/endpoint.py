"""An encoder behind an endpoint with OpenAI's embeddings protocol, on a local server or a paid service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recbole_llminit.embedding.encoder import EncoderSettings, Vectors
from recbole_llminit.utils.endpoint import Endpoint
from recbole_llminit.utils.errors import UserError

_ADVICE = "finished shards are kept: run the command again to go on"
_CHARACTERS = 4  # approximate number of characters per token in English text


def estimate(
    shards: Sequence[Sequence[str]], batch_size: int, price: float | None, prompt: str | None = None
) -> str:
    """Return a one-line estimate of the requests, tokens and cost of encoding texts.

    Args:
        shards: The texts to be sent, in groups; a request holds texts of one shard only.
        batch_size: Texts per request.
        price: US dollars per million tokens, if known.
        prompt: Text put before every text.
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
    """An encoder behind an endpoint.

    The API key is read from the environment variable OPENAI_API_KEY and written nowhere.

    Args:
        settings: See `EncoderSettings`; `base_url` must be set.
        batch_size: Texts per request.
        per_minute: Largest number of requests per minute, retries included; None sets no limit.

    Raises:
        ImportError: If openai is not installed.
        UserError: If the address is invalid or holds a password or a query, the API key is not printable
            ASCII, or an option applies to local models only.
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
            UserError: If the server refuses, still fails after all retries, or does not answer with one
                vector per text, all of the same dimension.
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
            with np.errstate(over="ignore"):  # numbers beyond float32 become infinite and are refused later
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
    """Refuse options that apply to local models only."""
    for flag in ("revision", "max_length"):
        if getattr(settings, flag) is not None:
            raise UserError(f"--{flag.replace('_', '-')} is for local models; an endpoint decides itself")
    if settings.precision != "fp32":
        raise UserError("--precision is for local models; an endpoint decides itself")
