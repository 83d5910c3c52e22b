"""Starts from the interactions, and from a function of the user's own."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recbole_llminit import cli
from recbole_llminit.initialize import Projection, fit, interactions
from recbole_llminit.initialize.interactions import item_factors, own_function, profile_gram
from recbole_llminit.initialize.pooling import normalized
from recbole_llminit.initialize.settings import Settings
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, parts
from tests.initialize.test_tables import DEFAULTS, TRAIN, VECTORS, start, tables_and_projection

# Two users had the first item, one of them the second as well; the third item is new.
COUNTS = sp.csr_matrix(np.array([[0, 0, 0], [1, 1, 0], [2, 0, 0]], dtype=float))
FOUND = """
import numpy as np

matrix = 3

def popular(vectors, k, *, train_matrix, seed):
    degrees = np.asarray(train_matrix.sum(axis=0)).ravel()
    vectors[:] = 0  # is a copy
    return np.outer(degrees, np.arange(k)) + seed

def wide(vectors, k, *, train_matrix, seed):
    return np.zeros((len(vectors), k + 1))

def missing(vectors, k, *, train_matrix, seed):
    return np.full((len(vectors), k), np.nan)

def words(vectors, k, *, train_matrix, seed):
    return "rows"
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a user's module, and one that does not compile, into a folder of PYTHONPATH."""
    Path("mine_of_test.py").write_text(FOUND)
    Path("broken_of_test.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    for name in ("mine_of_test", "broken_of_test"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_normalised_by_hand() -> None:
    """User sums are 0, 2 and 2, item sums 3, 1 and 0."""
    expected = [[0, 0, 0], [1 / np.sqrt(6), 1 / np.sqrt(2), 0], [2 / np.sqrt(6), 0, 0]]
    np.testing.assert_allclose(normalized(COUNTS).toarray(), expected, rtol=1e-6)


def test_profile_svd_by_hand() -> None:
    """All interactions are with items of the first dimension; the second item alone varies in the others."""
    vectors = np.array([[1, 0, 0], [1, 0, 0], [0, 5, 9]], dtype=np.float32)
    projection = fit(vectors, 1, "profile_svd", train_matrix=COUNTS)
    assert projection.directions is not None
    np.testing.assert_allclose(projection.directions, [[1], [0], [0]], atol=1e-12)
    np.testing.assert_allclose(projection(np.array([[3, 7, 7]])), [[3]])
    assert fit(vectors, 1, "svd").directions[2, 0] > 0.8  # type: ignore[index]


@given(st.integers(0, 50), st.booleans())
def test_profile_svd_by_a_dense_svd(seed: int, center: bool) -> None:
    rng = np.random.default_rng(seed)
    counts, vectors = rng.poisson(0.5, (12, 9)), rng.normal(size=(9, 6)).astype(np.float32)
    values = vectors - vectors.mean(axis=0) if center else vectors
    users, items = (np.maximum(counts.sum(axis=axis, keepdims=True), 1) for axis in (1, 0))
    right = np.linalg.svd(counts / np.sqrt(users) / np.sqrt(items) @ values)[2][:3].T
    right *= np.sign(right[np.abs(right).argmax(axis=0), np.arange(3)])
    found = fit(vectors, 3, "profile_svd", train_matrix=sp.csr_matrix(counts), center=center)(vectors)
    np.testing.assert_allclose(found, values @ right, atol=1e-4)


def test_profiles_of_many_users_are_summed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = profile_gram(TRAIN[:, 1:], VECTORS[1:])
    monkeypatch.setattr(interactions, "_USERS_AT_ONCE", 2)
    np.testing.assert_allclose(profile_gram(TRAIN[:, 1:], VECTORS[1:]), whole)


@pytest.mark.parametrize("k", [1, 2, 4, 5, 9])
def test_spectral_factors_keep_how_items_are_had_together(k: int) -> None:
    """Beyond the smaller side with columns of zeros; the same digits again."""
    counts = np.random.default_rng(1).poisson(0.7, (5, 8)).astype(float)
    counts[:, 6] = 0
    found = item_factors(sp.csr_matrix(counts), k)
    _, values, right = np.linalg.svd(normalized(sp.csr_matrix(counts)).toarray(), full_matrices=False)
    assert found.shape == (8, k)
    np.testing.assert_allclose(found @ found.T, (right[:k].T * values[:k] ** 2) @ right[:k], atol=1e-5)
    assert (found[np.abs(found).argmax(axis=0), np.arange(k)] >= 0).all()
    assert not found[6].any()
    np.testing.assert_array_equal(found, item_factors(sp.csr_matrix(counts), k))


def test_spectral_reads_no_text_and_may_be_wider_than_it() -> None:
    one, other = (fit(v, 4, "spectral", train_matrix=COUNTS) for v in (np.zeros((3, 2)), np.ones((3, 2))))
    np.testing.assert_array_equal(one.of_catalogue(np.ones((3, 2))), other.of_catalogue(np.zeros((3, 2))))
    np.testing.assert_array_equal(one.of_catalogue(np.ones((3, 2))), item_factors(COUNTS, 4))


def test_without_vectors_behind_them_rows_have_no_new_items() -> None:
    projection = fit(np.ones((3, 2), np.float32), 2, "spectral", train_matrix=COUNTS)
    for fitted in (projection, Projection.from_state(projection.scaled(0.5).state())):
        with pytest.raises(
            UserError, match="a new item has no row; train with another llm_selection"
        ) as refused:
            fitted(np.ones((1, 2)))
        assert "\n" not in str(refused.value)


def test_tables_take_the_interactions_without_the_padding() -> None:
    items, users, projection = tables_and_projection(selection="spectral", rescale="host")
    factors = item_factors(TRAIN[:, 1:], 4)
    np.testing.assert_allclose(items[1:], factors * np.float32(projection.scale))
    assert not items[0].any()
    assert users is not None
    np.testing.assert_array_equal(projection.of_catalogue(VECTORS[1:]), items[1:])


def test_a_function_of_ones_own(module: None) -> None:
    """It gets copies, the training interactions and the seed."""
    before = VECTORS.copy()
    items = start(seed=3, selection="mine_of_test:popular")[0]
    degrees = np.asarray(TRAIN.sum(axis=0)).ravel()[1:]
    np.testing.assert_array_equal(items[1:], np.outer(degrees, np.arange(4)) + 3)
    assert not items[0].any()
    np.testing.assert_array_equal(VECTORS, before)
    name = "mine_of_test:popular"
    assert Settings.from_config({**DEFAULTS, "llm_selection": name}) == replace(
        Settings.from_config(DEFAULTS), selection=name
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine_of_test:wide", r"returned a matrix of shape \(9, 5\); expected \(9, 4\)"),
        ("mine_of_test:missing", "returned NaN or infinite values"),
        ("mine_of_test:words", "returned a str, no matrix"),
        ("mine_of_test:matrix", "is no function but a int"),
        ("mine_of_test:gone", "can't be imported .AttributeError.*gone"),
        (
            "nowhere_of_test:f",
            "can't be imported .ModuleNotFoundError.*; install the module, or put its folder",
        ),
        ("broken_of_test:f", "can't be imported .SyntaxError"),
        (":", "can't be imported .ValueError"),
    ],
)
def test_a_wrong_function_is_refused_in_one_line(name: str, message: str, module: None) -> None:
    with pytest.raises(UserError, match=f"llm_selection '{name}' {message}") as refused:
        start(selection=name)
    assert "\n" not in str(refused.value)
    if "returned" not in message:
        with pytest.raises(UserError, match=message):
            Settings.from_config({**DEFAULTS, "llm_selection": name})


@pytest.mark.parametrize("how", ["profile_svd", "spectral", "mine_of_test:popular"])
def test_a_model_starts_from_it(how: str, module: None, world: World) -> None:
    made = parts("LLMInitLightGCN", world, llm_selection=how)
    table = made.model.item_embedding.weight.detach().numpy()
    tokens = made.dataset.field2id_token["item_id"][1:]
    vectors = world.vectors[[int(token[1:]) for token in tokens]].astype(np.float32)
    counts = made.train._dataset.inter_matrix("csr")[:, 1:]
    fitted = fit(vectors, 8, how, train_matrix=counts, seed=made.config["seed"])
    np.testing.assert_allclose(table[1:], fitted.of_catalogue(vectors), atol=1e-6)
    state: dict[str, Any] = made.model.llm_projection
    np.testing.assert_array_equal(Projection.from_state(state).of_catalogue(vectors), table[1:])


def test_the_command_line_refuses_before_the_run(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [
        "run",
        "-m",
        "LLMInitBPR",
        "-d",
        world.name,
        f"--data_path={world.root}",
        "--llm_selection=no.where:f",
    ]
    assert cli.main(argv) == 2
    error = capsys.readouterr().err.strip()
    assert "llm_selection 'no.where:f' can't be imported" in error
    assert error.count("\n") == 0


def test_the_import_is_the_users_name() -> None:
    assert own_function("numpy.linalg:svd") is np.linalg.svd
