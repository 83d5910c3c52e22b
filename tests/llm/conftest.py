"""Fixtures: tiny language models of three families with a tokeniser, and a server of OpenAI's protocol."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from recbole_llminit.llm.causal import CausalLM, load_llm
from tests.conftest import tiny_llm
from tests.llm.server import SECRET, Server

KEY = "own_llm"  # the caller's config key, which messages must name
FAMILIES = ("llama", "opt", "gpt2")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: tiny_llm(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def llm(request: pytest.FixtureRequest, folders: dict[str, Path]) -> CausalLM:
    return load_llm(str(folders[request.param]), "float32", torch.device("cpu"), key=KEY)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Start a server; set the API key, switch off the proxy, and let retries follow at once."""
    openai = pytest.importorskip("openai")
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.001)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
