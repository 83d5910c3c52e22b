"""Fixtures: the tiny language models that the tests of `llm` use."""

from tests.llm.conftest import folders, llm

__all__ = ["folders", "llm"]
