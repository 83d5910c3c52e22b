"""Cold start: what is removed from training, what stays, and how models treat a cold item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_llminit.sampling.cold_start import choose_cold_items, dropped
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, checkerboard, config_of, parts, run


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=60),
    st.floats(0, 0.95),
    st.integers(0, 99),
)
def test_a_share_of_each_user_is_dropped(users: list[int], share: float, seed: int) -> None:
    ids = np.array(users)
    gone = dropped(ids, share, seed)
    for user in set(users):
        n = users.count(user)
        assert gone[ids == user].sum() == int(np.floor(share * n + 1e-9)) < n
    assert np.array_equal(gone, dropped(ids, share, seed))


def test_half_of_four_and_of_five() -> None:
    gone = dropped(np.array([1, 2, 1, 2, 1, 2, 1, 2, 2]), 0.5, seed=3)
    assert (gone[[0, 2, 4, 6]].sum(), gone[[1, 3, 5, 7, 8]].sum()) == (2, 2)
    others = [dropped(np.repeat(np.arange(50), 4), 0.5, seed=seed) for seed in (3, 4)]
    assert not np.array_equal(*others)


def test_cold_items_are_drawn_once() -> None:
    cold = choose_cold_items(40, 0.2, seed=1)
    assert len(set(cold)) == 8
    assert 1 <= cold.min() < cold.max() <= 40
    assert np.array_equal(cold, choose_cold_items(40, 0.2, seed=1))
    assert not np.array_equal(cold, choose_cold_items(40, 0.2, seed=2))


def pairs(data: Any) -> set[tuple[int, int]]:
    inter = data._dataset.inter_feat
    return set(zip(inter["user_id"].tolist(), inter["item_id"].tolist(), strict=True))


@pytest.mark.parametrize("protocol", ["masked", "paper"])
def test_only_training_interactions_go(world: World, protocol: str) -> None:
    model = "LLMInitLightGCN"
    whole, cold = parts(model, world, protocol), parts(model, world, protocol, cold_items=0.25)
    for which in ("valid", "test"):
        assert pairs(getattr(cold, which)) == pairs(getattr(whole, which))
    ids = cold.train._dataset.cold_items
    assert len(ids) == 10
    assert pairs(cold.train) == {(u, i) for u, i in pairs(whole.train) if i not in ids}
    assert cold.dataset.item_num == 41  # cold items are still ranked
    edges = np.diff(cold.model.norm_adj_matrix.scipy.tocsr().indptr)
    assert np.array_equal(np.flatnonzero(edges[cold.dataset.user_num + 1 :] == 0) + 1, ids)


def test_half_the_history_goes_from_training_alone(world: World) -> None:
    whole, half = parts("BPR", world), parts("BPR", world, drop_history=0.5)
    assert pairs(half.test) == pairs(whole.test)
    assert pairs(half.train) < pairs(whole.train)
    counts = [np.bincount(one.train._dataset.inter_feat["user_id"].numpy()) for one in (whole, half)]
    assert np.array_equal(counts[1], counts[0] - counts[0] // 2)


def test_what_is_taken_follows_the_runs_seed(world: World) -> None:
    """After the cold items' interactions, `dropped` removes half of each user's rest, by the run's seed."""
    for seed in (3, 4):
        whole = parts("BPR", world, seed=seed).train._dataset.inter_feat
        users, items = whole["user_id"].numpy(), whole["item_id"].numpy()
        warm = ~np.isin(items, choose_cold_items(40, 0.25, seed))
        kept = np.flatnonzero(warm)[~dropped(users[warm], 0.5, seed)]
        both = parts("BPR", world, cold_items=0.25, drop_history=0.5, seed=seed)
        assert pairs(both.train) == set(zip(users[kept].tolist(), items[kept].tolist(), strict=True))


def test_what_was_taken_is_masked_where_history_is(world: World) -> None:
    """Removed interactions are masked if the protocol masks the history, and not otherwise."""
    whole, cold = parts("BPR", world), parts("BPR", world, cold_items=0.25, drop_history=0.3)
    for user in range(1, 61):
        mine, theirs = (one.test.uid2history_item[user].tolist() for one in (cold, whole))
        assert sorted(mine) == sorted(theirs)
    unmasked = parts("BPR", world, "paper", cold_items=0.25)
    assert not len(unmasked.test.uid2history_item[5])


@pytest.mark.parametrize("protocol", ["masked", "paper"])
def test_no_cold_item_is_a_negative_in_training(world: World, protocol: str) -> None:
    made = parts("BPR", world, protocol, cold_items=0.5)
    cold = made.train._dataset.cold_items
    drawn = [batch["neg_item_id"] for _ in range(5) for batch in made.train]
    assert not np.isin(torch.cat(drawn).numpy(), cold).any()
    assert len(np.unique(torch.cat(drawn).numpy())) == 20  # every warm item


@pytest.mark.parametrize("model", ["LLMInitBPR", "LLMInitLightGCN", "LLMInitSGL", "LLMInitSGCL", "SGL"])
def test_a_cold_item_keeps_its_starting_row(world: World, model: str) -> None:
    made = parts(model, world, cold_items=0.25, epochs=3)
    before = made.model.item_embedding.weight.detach().clone()
    made.trainer.fit(made.train, made.valid, saved=False, verbose=False)
    after = made.model.item_embedding.weight.detach()
    cold = made.train._dataset.cold_items
    warm = np.setdiff1d(np.arange(1, 41), cold)
    assert torch.equal(before[cold], after[cold])
    assert (before[warm] != after[warm]).any(dim=1).all()


def test_lightgcn_scores_a_cold_item_by_its_own_row_alone(world: World) -> None:
    """The final vector of an item without an edge is its row divided by (n_layers + 1)."""
    made = parts("LLMInitLightGCN", world, cold_items=0.25, n_layers=2)
    _, items = made.model.forward()
    cold = made.train._dataset.cold_items
    torch.testing.assert_close(items[cold], made.model.item_embedding.weight[cold] / 3)


def test_text_finds_the_cold_item_of_the_own_block(tmp_path: Any) -> None:
    """With text, a cold item of the user's block is ranked above every item of the other block."""
    world = checkerboard(tmp_path / "data", size=24)
    keys = {"cold_items": 0.3, "epochs": 0, "embedding_size": 2, "group_metrics": True, "topk": [1, 12]}
    keys |= {"valid_metric": "NDCG@12", "metrics": ["Recall", "NDCG"]}
    for model, sure in (("LLMInitBPR", True), ("BPR", False)):
        found = run(model, world, **keys)
        cold = next(row for row in found["groups"] if row["group"] == "cold")
        assert (cold["metrics"]["recall@12"] == 1.0) is sure


@pytest.mark.parametrize(
    ("model", "keys", "message"),
    [
        ("BPR", {"cold_items": 1.0}, "cold_items '1.0' must be a share"),
        ("BPR", {"drop_history": "half"}, "drop_history 'half'"),
        ("SASRec", {"cold_items": 0.2, "train_neg_sample_args": None}, "SASRec is sequential"),
        ("BPR", {"cold_items": 0.99}, "leave no training interaction; lower them"),
        ("BPR", {"cold_items": 0.95}, "cold_items: a user has all 2 items that are left; lower it"),
    ],
)
def test_wrong_shares(model: str, keys: dict[str, Any], message: str, world: World) -> None:
    with pytest.raises(UserError, match=message):
        parts(model, world, **keys)


def test_plain_recbole_is_left_alone(world: World) -> None:
    from recbole.config import Config
    from recbole.data import create_dataset

    from tests.conftest import settings

    config = Config("BPR", world.name, config_dict={**settings(world), "cold_items": 0.5})
    built = create_dataset(config).build()
    assert not hasattr(built[0], "cold_items")


def test_without_the_keys_nothing_changes(world: World) -> None:
    assert config_of("BPR", world)["cold_items"] == 0
    first, again = run("LLMInitSGL", world), run("LLMInitSGL", world, group_metrics=True, save_users=True)
    assert first["test"] == again["test"]
    assert "groups" not in first


@pytest.mark.parametrize("saved", ["save_dataset", "save_dataloaders"])
@pytest.mark.parametrize("key", ["cold_items", "drop_history"])
@pytest.mark.parametrize(("first", "second"), [(0.3, 0.0), (0.0, 0.3)])
def test_saved_data_are_taken_for_what_they_are(
    saved: str, key: str, first: float, second: float, world: World
) -> None:
    """Data that a run saved with other keys of cold start are not used."""
    own = {"group_metrics": True, key: second}
    expected = run("BPR", world, "masked", checkpoint_dir="fresh", **own)
    run("BPR", world, "masked", **{key: first, saved: True})
    assert list(Path("saved").glob("tastes-*.pth"))
    found = run("BPR", world, "masked", **own)
    assert found["groups"] == expected["groups"]
    if key == "cold_items":
        assert ("cold" in {group["group"] for group in found["groups"]}) == bool(second)
