"""The tiny language models of the tests of `llm`."""

from tests.llm.conftest import folders, llm

__all__ = ["folders", "llm"]
