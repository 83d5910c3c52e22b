"""A language model behind an endpoint with OpenAI's chat-completions protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recbole_llminit.utils.endpoint import Endpoint
from recbole_llminit.utils.errors import UserError


class EndpointLM:
    """A language model behind an endpoint; each prompt is one request with temperature 0.

    The API key is read from the environment variable OPENAI_API_KEY. The server may answer the same prompt
    differently each time; wrap the model in `llm.recorded.Recorded` to keep its answers.

    Args:
        name: The server's name of the model.
        base_url: Address of the server, such as ``https://host/v1``.
        key: Name of the config key or flag that holds the address, for messages.
        requests_per_minute: Largest number of requests per minute, retries included; None sets no limit.

    Raises:
        ImportError: If openai is not installed.
        UserError: If `base_url` is no address, or holds a password or a query.
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
            UserError: If the server refuses, still fails after all retries, or does not answer with text.
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
        if text is None:  # the model refused, or its answer was cut off during its reasoning
            return ""
        if not isinstance(text, str):
            raise UserError(f"{self.facts['base_url']} answered with something else than text")
        return text

    def close(self) -> None:
        """Close the connection."""
        self._endpoint.close()
