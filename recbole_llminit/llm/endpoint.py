"""A language model behind an endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recbole_llminit.utils.endpoint import Endpoint
from recbole_llminit.utils.errors import UserError


class EndpointLM:
    """A model behind an endpoint; each prompt is one request with temperature 0.

    The key is read from the environment variable OPENAI_API_KEY. Answers are as deterministic as the
    server is: keep them with `llm.recorded.Recorded`.

    Args:
        name: What the server calls the model.
        base_url: Address of the server, such as ``https://host/v1``.
        key: Name of the key or flag that holds the address, for messages.
        requests_per_minute: Most requests per minute, retries included; None: no limit of ours.

    Raises:
        ImportError: If openai is not installed.
        UserError: If the address is none or holds a secret.
    """

    def __init__(
        self, name: str, base_url: str | None, *, key: str, requests_per_minute: float | None = None
    ) -> None:
        advice = f"check {key} and the model's name, or try again later"
        self._endpoint = Endpoint(base_url, key, name, requests_per_minute, advice)
        self.facts: dict[str, Any] = {"name": name, "kind": "endpoint", "base_url": base_url}

    def generate(self, prompts: Sequence[str], max_tokens: int) -> list[str]:
        """Return the whole answer to each prompt, in their order; see `LanguageModel`.

        Raises:
            UserError: If the server refuses, fails past all retries, or answers with something else.
        """
        return [self._answer(prompt, max_tokens) for prompt in prompts]

    def _answer(self, prompt: str, max_tokens: int) -> str:
        with self._endpoint.explained():
            reply = self._endpoint.client.chat.completions.create(
                model=self.facts["name"],
                messages=[{"role": "user", "content": prompt}],
                temperature=0,
                max_tokens=max_tokens,
            )
            text = reply.choices[0].message.content
        if text is None:  # a refusal, or nothing but thoughts
            return ""
        if not isinstance(text, str):
            raise UserError(f"{self.facts['base_url']} answered with something else than text")
        return text

    def close(self) -> None:
        """Close the connection."""
        self._endpoint.close()
