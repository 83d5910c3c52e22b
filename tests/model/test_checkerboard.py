"""Initialised models on a world of two blocks, where the right ranking is known before any training."""

import pytest

from tests.conftest import World, run


@pytest.mark.parametrize("model", ["BPR", "LightGCN", "SGL", "SGCL", "MixSGCL"])
def test_withheld_item_comes_first_before_any_training(model: str, board: World) -> None:
    result = run(f"LLMInit{model}", board, epochs=0, embedding_size=2)
    assert result["test"]["recall@1"] == 1.0
    assert result["epochs"] == 0


def test_host_start_does_not_know(board: World) -> None:
    result = run("LLMInitSGCL", board, epochs=0, embedding_size=2, llm_embedding="none")
    assert result["test"]["recall@1"] < 0.7


def test_shuffled_vectors_destroy_it(board: World) -> None:
    result = run("LLMInitBPR", board, epochs=0, embedding_size=2, llm_shuffle_items=True)
    assert result["test"]["recall@1"] < 0.7


def test_training_items_compete_when_unmasked(board: World) -> None:
    result = run("LLMInitSGCL", board, "paper", epochs=0, embedding_size=2)
    assert result["test"]["recall@1"] < 0.7
