"""Test where a dataset is found: in the user's folder, else the shipped one, else RecBole's ml-100k."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbole_llminit.dataset import places
from recbole_llminit.dataset.places import (
    SHIPPED,
    atomic_file,
    checked_name,
    find_file,
    folders,
    item_file,
    prepared_names,
    tables,
)
from recbole_llminit.utils.errors import UserError


def put(file: Path, text: str = "") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "SHIPPED", tmp_path / "shipped")
    return tmp_path / "shipped"


def test_the_users_file_wins(tmp_path: Path, shipped: Path) -> None:
    data = tmp_path / "data"
    assert folders("shop", data) == (data / "shop", shipped / "shop")
    assert folders("shop", shipped) == (shipped / "shop",)
    assert find_file("shop", data, "shop.inter") is None
    theirs = put(shipped / "shop/shop.inter")
    assert find_file("shop", data, "shop.inter") == theirs
    ours = put(data / "shop/shop.inter")
    assert find_file("shop", data, "shop.inter") == ours
    (data / "shop/shop.item").mkdir()
    assert find_file("shop", data, "shop.item") is None  # a folder is not a file


@pytest.mark.parametrize(
    "name", ["beauty", "ml-100k", "a.b", ".hidden", "..a", "two words", "書籍", "~", "-x"]
)
def test_a_plain_name_is_returned(name: str) -> None:
    assert checked_name(name, "dataset") == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "/", "a/", "a/b", "/abs", "../a", "../../esc", "./a", "a\\b", "a\0", "a\nb", "\x1b[2J"],
)
def test_a_name_that_is_a_path_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UserError, match="dataset '.*' must be the plain name of a file or folder") as raised:
        checked_name(name, "dataset")
    assert str(raised.value).isprintable()


def test_atomic_files_are_named_after_their_folder() -> None:
    assert atomic_file(Path("data/ml-100k"), "inter") == Path("data/ml-100k/ml-100k.inter")
    assert atomic_file(Path("data/a.b"), "item") == Path("data/a.b/a.b.item")


def test_item_texts_are_the_users_the_shipped_or_recboles(tmp_path: Path) -> None:
    data = tmp_path / "data"
    bundled = item_file("ml-100k", data)
    assert bundled.is_file()
    assert bundled.parts[-3:] == ("dataset_example", "ml-100k", "ml-100k.item")
    assert item_file("beauty-mini", data) == SHIPPED / "beauty-mini/beauty-mini.item"
    assert item_file("shop", data) == data / "shop/shop.item"  # where the file would be
    ours = put(data / "ml-100k/ml-100k.item")
    assert item_file("ml-100k", data) == ours


def test_tables_of_both_folders_have_names_once(tmp_path: Path, shipped: Path) -> None:
    data = tmp_path / "data"
    assert tables("shop", data) == []
    for file in (data / "shop/b.safetensors", data / "shop/a.safetensors", shipped / "shop/b.safetensors"):
        put(file)
    put(shipped / "shop/c.safetensors")
    put(shipped / "other/d.safetensors")
    put(data / "shop/shop.itememb")
    assert tables("shop", data) == ["a", "b", "c"]


def test_the_names_of_what_is_there(tmp_path: Path, shipped: Path) -> None:
    data = tmp_path / "data"
    assert prepared_names(data) == ["ml-100k"]
    put(data / "shop/shop.inter")
    put(data / "mine/other.inter")  # RecBole would not find this file
    put(shipped / "demo/demo.inter")
    put(shipped / "shop/shop.inter")
    assert prepared_names(data) == ["demo", "ml-100k", "shop"]


def test_what_ships_is_found_from_any_folder(tmp_path: Path) -> None:
    assert (
        find_file("beauty-mini", tmp_path, "beauty-mini.inter") == SHIPPED / "beauty-mini/beauty-mini.inter"
    )
    assert tables("ml-100k", tmp_path) == ["all-mpnet-base-v2"]
    assert {"beauty-mini", "ml-100k"} <= set(prepared_names(tmp_path))
