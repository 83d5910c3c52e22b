"""The interface that all language models of this package implement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class LanguageModel(Protocol):
    """A language model that answers prompts.

    `llm.causal.CausalLM` runs in this process, `llm.endpoint.EndpointLM` sends requests to a server, and
    `llm.recorded.Recorded` keeps the answers of either in a file. Likelihoods need a model that runs in
    this process: the functions of `llm.likelihood` take a `CausalLM`.
    """

    @property
    def facts(self) -> dict[str, Any]:
        """The model's entry on a card, as JSON values: everything that its answers depend on.

        It holds ``name`` and ``kind`` (``transformers``, ``gguf`` or ``endpoint``); for a `CausalLM` also
        ``precision`` and ``sha256``, and for an endpoint ``base_url``. It never holds an API key.
        """
        ...

    def generate(self, prompts: Sequence[str], max_tokens: int) -> list[str]:
        """Return the whole answer to each prompt, in their order.

        The likeliest token is taken at each step, so that the same prompt gets the same answer.

        Args:
            prompts: Texts, each of which is sent as one user message.
            max_tokens: Largest number of tokens of an answer, after which it is cut.

        Raises:
            UserError: If the model can't answer.
        """
        ...

    def close(self) -> None:
        """Close connections and files."""
        ...
