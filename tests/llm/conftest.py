"""Tiny language models with a real tokeniser, in folders: three families, so that none is special."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recbole_llminit.llm.causal import CausalLM, load_llm
from tests.conftest import tiny_llm

FAMILIES = ("llama", "opt", "gpt2")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: tiny_llm(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def llm(request: pytest.FixtureRequest, folders: dict[str, Path]) -> CausalLM:
    return load_llm(str(folders[request.param]), "float32", torch.device("cpu"))
