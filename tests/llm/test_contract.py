"""What the protocol `LanguageModel` promises, tested for each implementation."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from recbole_llminit.llm import EndpointLM, LanguageModel, Recorded
from recbole_llminit.llm.causal import load_llm
from tests.llm.conftest import KEY
from tests.llm.server import SECRET, Server
from tests.llm.stub import Stub

PROMPTS = ["abc", "hello world", "ä ö\n\u2028 😀", "a pen"]


def local(request: pytest.FixtureRequest) -> LanguageModel:
    folders: dict[str, Path] = request.getfixturevalue("folders")
    return load_llm(str(folders["llama"]), "float32", torch.device("cpu"), key=KEY)


def endpoint(request: pytest.FixtureRequest) -> LanguageModel:
    server: Server = request.getfixturevalue("server")
    return EndpointLM("toy", server.url, key="own_base_url")


def recorded(request: pytest.FixtureRequest) -> LanguageModel:
    return Recorded(Stub(), request.getfixturevalue("tmp_path") / "answers.jsonl")


# How to count a model's tokens: those of the tiny model are bytes, and a letter has at least one.
COUNT: dict[Callable[[pytest.FixtureRequest], LanguageModel], Callable[[str], int]] = {
    local: len,
    endpoint: lambda text: len(text.split()),
    recorded: lambda text: len(text.split()),
}


@pytest.mark.parametrize("model", COUNT, indirect=True, ids=lambda make: make.__name__)
class TestContract:
    @pytest.fixture
    def model(self, request: pytest.FixtureRequest) -> Iterator[LanguageModel]:
        model = request.param(request)
        model.count = COUNT[request.param]
        yield model
        model.close()

    def test_answers_come_in_the_prompts_order(self, model: LanguageModel) -> None:
        alone = {prompt: model.generate([prompt], 8)[0] for prompt in PROMPTS}
        assert len(set(alone.values())) == len(PROMPTS)
        for prompts in (PROMPTS, PROMPTS[::-1], [*PROMPTS, *PROMPTS[1:]]):
            assert model.generate(prompts, 8) == [alone[prompt] for prompt in prompts]

    def test_the_same_prompt_gets_the_same_answer(self, model: LanguageModel) -> None:
        assert model.generate(PROMPTS, 8) == model.generate(PROMPTS, 8)

    def test_no_prompts(self, model: LanguageModel) -> None:
        assert model.generate([], 8) == []

    def test_max_tokens(self, model: LanguageModel) -> None:
        (one,), (three,), (nine,) = (model.generate(PROMPTS[:1], most) for most in (1, 3, 9))
        lengths = [model.count(answer) for answer in (one, three, nine)]
        assert lengths[0] <= 1
        assert lengths[1] <= 3 < lengths[2] <= 9

    def test_facts_are_for_a_card(self, model: LanguageModel) -> None:
        facts = model.facts
        assert json.loads(json.dumps(facts)) == facts
        assert {"name", "kind"} <= set(facts)
        assert SECRET not in json.dumps(facts)
        model.generate(PROMPTS, 8)
        assert model.facts == facts


def test_the_room_needs_none_of_the_large_packages() -> None:
    code = "import sys, recbole_llminit.llm; sys.exit(any(p in sys.modules for p in sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, "torch", "transformers", "openai"], check=True)
