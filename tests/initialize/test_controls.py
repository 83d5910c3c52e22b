"""Controls: noise keeps only mean and covariance of the vectors; shuffling gives each item another vector."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_llminit.initialize.controls import derangement, gaussian_like, shuffled
from tests.conftest import World, parts, run


def test_mean_and_covariance_stay() -> None:
    rng = np.random.default_rng(1)
    vectors = (rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)) + 3).astype(np.float32)
    noise = gaussian_like(vectors, seed=5)
    assert noise.dtype == np.float32
    np.testing.assert_allclose(noise.mean(axis=0), vectors.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(np.cov(noise.T), np.cov(vectors.T), rtol=1e-3, atol=1e-4)
    assert np.abs(np.corrcoef(noise.ravel() - 3, vectors.ravel() - 3)[0, 1]) < 0.3
    assert np.array_equal(noise, gaussian_like(vectors, seed=5))
    assert not np.array_equal(noise, gaussian_like(vectors, seed=6))


def test_fewer_items_than_dimensions_and_no_spread() -> None:
    wide = np.random.default_rng(2).normal(size=(3, 8)).astype(np.float32)
    assert np.isfinite(gaussian_like(wide, seed=1)).all()
    same = np.full((5, 2), 0.5, dtype=np.float32)
    np.testing.assert_allclose(gaussian_like(same, seed=1), same, atol=1e-6)


def test_a_model_starts_from_it(world: World, board: World) -> None:
    real, noise = (
        parts("LLMInitBPR", world, llm_noise=flag).model.item_embedding.weight for flag in (False, True)
    )
    assert not noise[0].any()
    assert noise.std().item() == pytest.approx(real.std().item(), rel=1e-3)
    assert run("LLMInitBPR", board, epochs=0, embedding_size=2, llm_noise=True)["test"]["recall@1"] < 0.7


@given(st.integers(2, 60), st.integers(0, 99))
def test_nobody_keeps_the_own_vector(n: int, seed: int) -> None:
    source = derangement(n, seed)
    assert sorted(source) == list(range(n))
    assert (source != np.arange(n)).all()


@given(st.integers(3, 30), st.integers(0, 99))
def test_shuffling_by_id_leaves_the_padding_in_place(n: int, seed: int) -> None:
    moved = shuffled(np.arange(n), seed)
    assert moved[0] == 0
    np.testing.assert_array_equal(moved[1:], 1 + derangement(n - 1, seed))
    assert shuffled(np.array(list("_abc"), dtype=object), seed)[0] == "_"
