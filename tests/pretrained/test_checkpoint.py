"""A frozen model: loaded as it was saved, and refused if it may have seen the test items."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path

import pytest
import torch

from recbole_llminit.pretrained.checkpoint import find_checkpoint, load_frozen, state_hash
from recbole_llminit.utils.errors import UserError
from tests.conftest import Trained, parts, tastes, write_world

KEY = "allmrec_backbone"


def load(trained: Trained, file: str, **keys: object) -> object:
    run = parts("GRU4Rec", trained.world, "sequential", **{KEY: file, **keys})
    return load_frozen(run.config, KEY, run.dataset)


def test_it_is_the_model_that_was_saved(trained: Trained) -> None:
    file = trained.of("SASRec")
    frozen = load(trained, file)
    state = torch.load(file, weights_only=False)["state_dict"]
    assert frozen.hash == state_hash(state)
    for name, value in frozen.model.state_dict().items():
        assert torch.equal(value, state[name])
    assert not frozen.model.training
    assert not any(parameter.requires_grad for parameter in frozen.model.parameters())
    assert copy.deepcopy(frozen) is frozen


def test_one_other_number_is_another_hash() -> None:
    state = {"a": torch.zeros(3), "b": torch.ones(2)}
    changed = {"a": torch.tensor([0.0, 0.0, 1e-7]), "b": torch.ones(2)}
    assert state_hash(state) == state_hash(dict(reversed(state.items())))
    assert state_hash(state) != state_hash(changed)


def test_half_precision_has_a_hash() -> None:
    state = {"a": torch.ones(3, dtype=torch.bfloat16), "b": torch.tensor(2)}
    assert state_hash(state) != state_hash({**state, "b": torch.tensor(3)})


def test_a_folder_means_its_newest(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "old")):
        (tmp_path / f"{name}.pth").touch()
        os.utime(tmp_path / f"{name}.pth", (100 - age, 100 - age))
    assert find_checkpoint({KEY: str(tmp_path)}, KEY) == tmp_path / "new.pth"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"seed": 7}, "seed 2020, this run has 7"),
        ({"user_inter_num_interval": "[5,inf)"}, r"user_inter_num_interval .*, this run has '\[5,inf\)'"),
        ({"MAX_ITEM_LIST_LENGTH": 20}, "MAX_ITEM_LIST_LENGTH 50, this run has 20"),
        ({"rm_dup_inter": "first"}, "rm_dup_inter None, this run has 'first'"),
    ],
)
def test_other_settings_are_refused(keys: dict[str, object], message: str, trained: Trained) -> None:
    with pytest.raises(UserError, match=f"{KEY} .* was trained with {message}.*may have seen test items"):
        load(trained, trained.of("SASRec"), **keys)


def test_a_random_split_is_refused(trained: Trained) -> None:
    with pytest.raises(UserError, match="order 'RO', this run has 'TO'.*--protocol=sequential"):
        load(trained, trained.of("BPR", protocol="masked"))


def test_a_general_model_of_the_same_split_is_taken(trained: Trained) -> None:
    assert type(load(trained, trained.of("BPR")).model).__name__ == "BPR"


def test_no_checkpoint(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="GRU4Rec needs a trained model: set allmrec_backbone"):
        load(trained, None)
    for gone in ("gone.pth", str(tmp_path)):
        with pytest.raises(UserError, match="no such checkpoint; train a model first"):
            load(trained, gone)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04half a zip"])
def test_a_file_that_is_no_checkpoint(content: bytes, trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "odd.pth"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"odd.pth' is no checkpoint of RecBole"):
        load(trained, str(file))


def test_weights_alone_are_no_checkpoint(trained: Trained, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "odd.pth")
    with pytest.raises(UserError, match="is no checkpoint of RecBole"):
        load(trained, str(tmp_path / "odd.pth"))


def test_another_dataset_is_refused(trained: Trained, tmp_path: Path) -> None:
    """By its name; by its ids, where a folder elsewhere has the same name; by its being gone."""
    other = write_world(
        tmp_path / "a", "other", [(u, i) for u in range(6) for i in range(5)], trained.world.vectors
    )
    file = Trained(other, tmp_path / "a").of("SASRec")
    with pytest.raises(UserError, match="dataset 'other', this run has 'tastes'"):
        load(trained, file)
    same_name = tastes(tmp_path / "b" / "data", users=30)
    file = Trained(same_name, tmp_path / "b").of("SASRec")
    with pytest.raises(UserError, match="other data: the ids of user_id in .* are not this run's"):
        load(trained, file)
    shutil.rmtree(tmp_path / "b" / "data")
    with pytest.raises(UserError, match="which is not there"):
        load(trained, file)


def test_data_that_have_changed_since(tmp_path: Path) -> None:
    world = tastes(tmp_path / "data", users=30)
    mine = Trained(world, tmp_path)
    file = mine.of("SASRec")
    inter = tmp_path / "data" / "tastes" / "tastes.inter"
    inter.write_text(inter.read_text() + "u1\ti99\t9999\n")
    with pytest.raises(UserError, match="its data, tastes, have changed since"):
        load(mine, file)


@pytest.mark.parametrize("known", [True, False])
def test_one_other_interaction(known: bool, tmp_path: Path) -> None:
    """Users, items and shapes stay the same; a checkpoint that RecBole alone wrote can't tell."""
    world = tastes(tmp_path / "data", users=30)
    mine = Trained(world, tmp_path)
    file = mine.of("SASRec")
    if not known:
        content = torch.load(file, weights_only=False)
        del content["run"]
        torch.save(content, file)
    inter = tmp_path / "data" / "tastes" / "tastes.inter"
    inter.write_text(inter.read_text().replace("\t299\n", "\t300\n"))  # its time
    if not known:
        assert load(mine, file)
        return
    with pytest.raises(UserError, match="its data, tastes, have changed since; train it again"):
        load(mine, file)
