"""Test that the rating filter and the k-core keep the same interactions as RecBole's filters."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recbole

import tests.conftest as runs
from tests.prepare.raw import Prepared, prepared

ML_100K = Path(recbole.__file__).parent / "dataset_example" / "ml-100k"
OFFICE = runs.SHARED / "office-2018-late"
FILTERS = {
    "val_interval": {"rating": "[4,inf)"},
    "user_inter_num_interval": "[5,inf)",
    "item_inter_num_interval": "[5,inf)",
    "load_col": {"inter": ["user_id", "item_id", "rating"]},
}


def copied(folder: Path) -> Path:
    """Copy a dataset's interactions and items under a name that RecBole does not know."""
    copy = Path("raw", "parity")
    copy.mkdir(parents=True)
    for kind in ("inter", "item"):
        shutil.copyfile(folder / f"{folder.name}.{kind}", copy / f"parity.{kind}")
    return copy


def recbole_pairs(root: Path, **keys: Any) -> list[tuple[str, str]]:
    """Return the sorted (user, item) pairs of RecBole's dataset, with repeated pairs."""
    from recbole.data import create_dataset

    config = runs.config_of("BPR", runs.World(root, "parity", (), np.zeros(0)), **keys)
    data = create_dataset(config)
    users = data.id2token("user_id", data.inter_feat["user_id"])
    items = data.id2token("item_id", data.inter_feat["item_id"])
    return sorted(zip(map(str, users), map(str, items), strict=True))


def our_pairs(made: Prepared) -> list[tuple[str, str]]:
    lines = [line.split("\t") for line in made.inter.splitlines()[1:]]
    return sorted((user, item) for user, item, *_ in lines)


@pytest.mark.parametrize(
    "folder",
    [
        ML_100K,
        pytest.param(OFFICE, marks=pytest.mark.skipif(not OFFICE.is_dir(), reason=f"{OFFICE} is not there")),
    ],
    ids=lambda folder: folder.name,
)
def test_the_same_interactions_as_recboles_filters(folder: Path) -> None:
    copy = copied(folder)
    flags = ["--source=atomic", f"--path={copy}", "--min-rating=4", "--duplicates=all", "--kcore=5"]
    made = prepared("parity", *flags)
    theirs = recbole_pairs(Path("raw"), **FILTERS)
    lines = (copy / "parity.inter").read_text().count("\n") - 1
    assert 0 < len(theirs) < lines
    assert our_pairs(made) == theirs
    assert made.card["counts"][-1]["interactions"] == len(theirs)


def test_recbole_reads_a_prepared_dataset_whole() -> None:
    """RecBole's filters remove nothing from a dataset prepared with the same filters."""
    flags = ["--source=atomic", f"--path={copied(ML_100K)}", "--min-rating=4", "--kcore=5"]
    made = prepared("parity", *flags)
    assert recbole_pairs(Path("data"), **FILTERS) == our_pairs(made)
    assert recbole_pairs(Path("data")) == our_pairs(made)
