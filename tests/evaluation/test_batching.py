"""Users per batch follow the free memory or the user's key; an explicit batch size has priority."""

from __future__ import annotations

import pytest

from recbole_llminit.evaluation import batching
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, config_of, parts


def test_it_follows_the_catalogue_and_the_free_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("BPR", world)
    monkeypatch.setattr(batching, "_free_memory", lambda device: 10 * 16 * 1000 * 50)
    assert batching.users_per_batch(config, n_items=1000) == 50
    assert batching.users_per_batch(config, n_items=10**9) == 1
    one_by_one = config_of("ConvNCF", world)
    assert batching.users_per_batch(one_by_one, n_items=1000) == 50 // 8


def test_the_loader_takes_it(world: World) -> None:
    assert len(parts("BPR", world).test) == 1
    assert len(parts("BPR", world, users_per_batch=7).test) == 9  # 60 users
    assert len(parts("SASRec", world, users_per_batch=7).test) == 9
    assert len(parts("BPR", world, eval_batch_size=41).test) == 60
    assert len(parts("BPR", world, eval_batch_size=41, users_per_batch=7).test) == 60


@pytest.mark.parametrize("value", [0, -3, "many", 2.5, True])
def test_other_values_are_refused(world: World, value: object) -> None:
    with pytest.raises(UserError, match="must be auto or a positive integer"):
        batching.users_per_batch(config_of("BPR", world, users_per_batch=value), n_items=10)
