"""Negatives are the items that RecBole draws, and never an item that the user has seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_llminit.sampling.pairs import PairSampler, RepeatablePairSampler, SeenItems, sorted_unique
from tests.conftest import World, parts


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7))))
def test_seen_items_are_sets(pairs: list[tuple[int, int]]) -> None:
    seen = SeenItems(sorted_unique(np.array([u * 8 + i for u, i in pairs], dtype=np.int64)), 6, 8)
    assert len(seen) == 6
    for user in range(6):
        assert seen[user] == {i for u, i in pairs if u == user}
    assert list(seen[np.array([2, 2, 0])]) == [seen[2], seen[2], seen[0]]
    users, items = np.divmod(np.arange(48), 8)
    assert seen.contains(users, items).tolist() == [
        (u, i) in pairs for u, i in zip(users, items, strict=True)
    ]
    assert seen.counts().tolist() == [len(seen[user]) for user in range(6)]


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
@pytest.mark.parametrize("num", [1, 3])
def test_draws_are_recboles(world: World, distribution: str, num: int) -> None:
    from recbole.sampler.sampler import Sampler

    run = parts("BPR", world)
    data = [run.train._dataset, run.valid._dataset, run.test._dataset]
    phases = ["train", "valid", "test"]
    users = np.random.default_rng(1).integers(1, run.dataset.user_num, size=500)
    for keys in (users, np.full(40, users[0])):
        for phase in phases:
            drawn = []
            for sampler in (Sampler, PairSampler):
                np.random.seed(3)
                made = sampler(phases, data, distribution).set_phase(phase)
                drawn.append(made.sample_by_user_ids(keys, None, num))
            assert drawn[0].tolist() == drawn[1].tolist()
            assert drawn[0].dtype == drawn[1].dtype
            assert not any(
                int(item) in made.used_ids[user]
                for user, item in zip(np.tile(keys, num), drawn[1], strict=True)
            )


@pytest.mark.parametrize("num", [1, 3])
@pytest.mark.parametrize("rows", [1, 200])
def test_repeatable_draws_are_recboles(world: World, num: int, rows: int) -> None:
    from recbole.sampler.sampler import RepeatableSampler

    dataset = parts("BPR", world, "paper").dataset
    users, items = (np.random.default_rng(1).integers(1, 41, size=rows) for _ in range(2))
    drawn = []
    for sampler in (RepeatableSampler, RepeatablePairSampler):
        np.random.seed(3)
        drawn.append(sampler("train", dataset).sample_by_user_ids(users, items, num))
    assert drawn[0].tolist() == drawn[1].tolist()
    assert drawn[0].dtype == drawn[1].dtype
    assert (drawn[1].numpy() != np.tile(items, num)).all()


def test_used_items_are_recboles(world: World) -> None:
    from recbole.sampler.sampler import Sampler

    run = parts("BPR", world)
    data = [run.train._dataset, run.valid._dataset, run.test._dataset]
    theirs, ours = (cls(["train", "valid", "test"], data).used_ids for cls in (Sampler, PairSampler))
    for phase, used in theirs.items():
        assert [ours[phase][user] for user in range(len(used))] == list(used)


def test_our_runs_use_it_and_plain_recbole_does_not(world: World) -> None:
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation

    from tests.conftest import settings

    assert type(parts("BPR", world).train._sampler) is PairSampler
    assert type(parts("BPR", world, "paper").train._sampler) is RepeatablePairSampler
    plain = Config("BPR", world.name, config_dict=settings(world))
    train, _, _ = data_preparation(plain, create_dataset(plain))
    assert type(train._sampler).__name__ == "Sampler"


def test_a_user_with_every_item_is_refused(world: World) -> None:
    run = parts("BPR", world)
    data = run.train._dataset
    data.inter_feat.interaction["item_id"][:] = 1
    data.item_num_of = None
    sampler = PairSampler.__new__(PairSampler)
    sampler.phases, sampler.datasets = ["train"], [data]
    sampler.uid_field, sampler.iid_field, sampler.user_num, sampler.item_num = "user_id", "item_id", 61, 2
    with pytest.raises(ValueError, match="interacted with all items"):
        sampler.get_used_ids()
