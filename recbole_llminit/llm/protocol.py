"""What every language model of this room can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class LanguageModel(Protocol):
    """Anything that answers prompts.

    `llm.causal.CausalLM` computes here, `llm.endpoint.EndpointLM` asks a server, and
    `llm.recorded.Recorded` keeps the answers of either in a file. Likelihoods need a model that
    computes here: the functions of `llm.likelihood` take a `CausalLM`.
    """

    @property
    def facts(self) -> dict[str, Any]:
        """What a card says of the model, as JSON can hold it: all that its answers depend on.

        Always ``name`` and ``kind`` (``transformers``, ``gguf`` or ``endpoint``); of a model that
        computes here ``precision`` and ``sha256``, of an endpoint ``base_url``. Never a key.
        """
        ...

    def generate(self, prompts: Sequence[str], max_tokens: int) -> list[str]:
        """Return the whole answer to each prompt, in their order.

        The likeliest token is taken each time, so that the same prompt gets the same answer.

        Args:
            prompts: Each is one message of a user.
            max_tokens: Tokens after which an answer is cut.

        Raises:
            UserError: If the model can't answer.
        """
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...
