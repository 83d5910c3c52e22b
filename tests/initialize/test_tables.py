"""The starting tables: order of the steps, padding, scale, shuffling, and use of training data alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from recbole_llminit.initialize.pooling import pool
from recbole_llminit.initialize.projection import Projection
from recbole_llminit.initialize.scale import rescale, rms
from recbole_llminit.initialize.settings import Pooling, Scope, Selection, Settings
from recbole_llminit.initialize.tables import starting_tables
from recbole_llminit.utils.errors import UserError

DEFAULTS = {
    "llm_selection": "var", "llm_selection_scope": "all", "llm_center": False,
    "llm_pooling": "mean", "llm_rescale": "none", "llm_shuffle_items": False,
}  # fmt: skip
PLAIN = Settings(Selection.VAR, Scope.ALL, False, Pooling.MEAN, "none", False)
RNG = np.random.default_rng(3)
VECTORS = np.vstack([np.zeros(6), RNG.normal(size=(9, 6))]).astype(np.float32)
TRAIN = sp.csr_matrix(
    (RNG.random((5, 10)) < 0.4) * (np.arange(5) > 0)[:, None] * (np.arange(10) > 0), dtype=float
)
HOST: dict[str, np.ndarray] = {
    "items": np.full((10, 4), 0.5, np.float32),
    "users": np.full((5, 4), 0.25, np.float32),
}

HOST["items"][0] = 9.0  # the padding row must have no effect


def start(seed: int = 0, **changes: Any) -> tuple[np.ndarray, np.ndarray | None]:
    return tables_and_projection(seed, **changes)[:2]


def tables_and_projection(seed: int = 0, **changes: Any) -> tuple[np.ndarray, np.ndarray | None, Projection]:
    return starting_tables(VECTORS, TRAIN, replace(PLAIN, **changes), **HOST, seed=seed)


def test_users_are_pooled_from_the_selected_items() -> None:
    items, users = start()
    best = np.sort(np.argsort(-VECTORS[1:].var(axis=0))[:4])
    np.testing.assert_array_equal(items, VECTORS[:, best])
    degrees = np.maximum(TRAIN.sum(axis=1).A1 if hasattr(TRAIN.sum(axis=1), "A1") else TRAIN.sum(axis=1), 1)
    np.testing.assert_allclose(users, TRAIN @ items / np.asarray(degrees).reshape(-1, 1), rtol=1e-5)


def test_padding_rows_are_zero_whatever_the_steps() -> None:
    for selection in ("pca", "whiten", "random_projection"):
        items, users = start(selection=Selection(selection), center=True, rescale="host", shuffle_items=True)
        assert users is not None
        assert not items[0].any()
        assert not users[0].any()


@pytest.mark.parametrize("how", [Pooling.MEAN, Pooling.MAX, Pooling.LIGHTGCN])
@pytest.mark.parametrize("changes", [{}, {"shuffle_items": True}, {"noise": True}, {"center": True}])
def test_users_come_of_the_items_that_training_starts_from(how: Pooling, changes: dict[str, Any]) -> None:
    """Therefore a control takes the meaning of the texts from the users too."""
    items, users = start(pooling=how, **changes)
    np.testing.assert_array_equal(users, pool(TRAIN, items, how))


def test_the_mean_is_gone_where_it_is_subtracted() -> None:
    np.testing.assert_allclose(start(center=True)[0][1:].mean(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("changes", [{"noise": True}, {"shuffle_items": True}, {"selection": Selection.RAND}])
def test_draws_follow_the_seed(changes: dict[str, Any]) -> None:
    one, same, other = (start(seed, **changes)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_popular_scope_looks_at_training_degrees() -> None:
    items, _ = start(scope=Scope.POPULAR)
    degrees = np.asarray(TRAIN.sum(axis=0)).ravel()[1:]
    popular = np.sort(np.argsort(-degrees, kind="stable")[:2])  # int(0.2 * 10)
    best = np.sort(np.argsort(-VECTORS[1:][popular].var(axis=0), kind="stable")[:4])
    np.testing.assert_array_equal(items, VECTORS[:, best])


def test_pooling_none_leaves_users_to_the_host() -> None:
    assert start(pooling=Pooling.NONE)[1] is None


def test_rescale_to_the_host_and_to_a_number() -> None:
    items, users = start(rescale="host")
    assert users is not None
    assert rms(items) == pytest.approx(0.5)
    assert rms(users) == pytest.approx(0.25)
    assert [rms(table) for table in start(rescale=0.1)] == pytest.approx([0.1, 0.1])
    np.testing.assert_array_equal(rescale(np.zeros((2, 2), np.float32), 1.0), np.zeros((2, 2)))


@pytest.mark.parametrize("how", ["var", "rand", "svd", "profile_svd", "pca", "whiten", "random_projection"])
@pytest.mark.parametrize(
    "changes", [{}, {"center": True}, {"rescale": "host"}, {"rescale": 0.1, "scope": Scope.POPULAR}]
)
def test_the_projection_gives_the_items_rows_again(how: str, changes: dict[str, Any]) -> None:
    items, _, projection = tables_and_projection(selection=Selection(how), **changes)
    np.testing.assert_array_equal(projection(VECTORS[1:]), items[1:])
    assert (projection.scale is None) == ("rescale" not in changes)
    np.testing.assert_allclose(projection(VECTORS[3:4]), items[3:4], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("changes", [{"noise": True}, {"shuffle_items": True}])
def test_controls_act_after_the_projection(changes: dict[str, Any]) -> None:
    """They change the catalogue's rows alone; a later item gets its own text's row, at the same scale."""
    items, _, projection = tables_and_projection(rescale="host", **changes)
    plain = start()[0]
    scale = projection.scale
    np.testing.assert_array_equal(projection(VECTORS[1:]), plain[1:] * np.float32(scale))
    unscaled = start(**changes)[0]
    np.testing.assert_array_equal(items, unscaled * np.float32(scale))
    assert (items[1:] != projection(VECTORS[1:])).any(axis=1).all()


def test_shuffling_keeps_the_columns_and_moves_every_item() -> None:
    plain, shuffled = start()[0], start(shuffle_items=True)[0]
    assert {row.tobytes() for row in plain[1:]} == {row.tobytes() for row in shuffled[1:]}
    assert (plain[1:] != shuffled[1:]).any(axis=1).all()


def test_the_global_generators_are_left_alone() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    start(selection=Selection.RAND, shuffle_items=True)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("llm_selection", "vra", r"llm_selection 'vra' must be one of var, rand.*Did you mean 'var'"),
        ("llm_selection_scope", "most", "all, popular"),
        ("llm_pooling", "sum", "mean, max, lightgcn, none"),
        ("llm_center", "yes", "true or false"),
        ("llm_rescale", -1, "positive number"),
        ("llm_rescale", "hots", "none, host or a positive number"),
        ("llm_rescale", float("nan"), "positive number"),
    ],
)
def test_unknown_values_are_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Settings.from_config({**DEFAULTS, key: value})


def test_none_may_be_written_as_nothing() -> None:
    settings = Settings.from_config({**DEFAULTS, "llm_pooling": None, "llm_rescale": None})
    assert settings == replace(PLAIN, pooling=Pooling.NONE)
