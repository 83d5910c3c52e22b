"""A stand-in for a language model that answers by a rule and records the prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.llm.server import words


@dataclass
class Stub:
    """Answers with words that depend on the prompt; raises `failure` after `fails_after` prompts."""

    facts: dict[str, Any] = field(default_factory=lambda: {"name": "stub", "kind": "transformers"})
    fails_after: float = float("inf")
    failure: BaseException = field(default_factory=KeyboardInterrupt)
    asked: list[str] = field(default_factory=list)
    closed: bool = False

    def generate(self, prompts: Sequence[str], max_tokens: int) -> list[str]:
        if len(self.asked) + len(prompts) > self.fails_after:
            raise self.failure
        self.asked += prompts
        return [words(prompt, max_tokens) for prompt in prompts]

    def close(self) -> None:
        self.closed = True
