"""Test item texts: templates, hashes and the .item file."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbole_llminit.dataset.items import coverage, read_items, render, texts_hash, texts_in_order
from recbole_llminit.utils.errors import UserError

ITEMS = 'item_id:token\ttitle:token_seq\tbrand:token_seq\n1\tA "quoted" pen\tBic\n2\tNA\t\n03\t\tnull\n'


@pytest.fixture
def item_file(tmp_path: Path) -> Path:
    file = tmp_path / "x.item"
    file.write_text(ITEMS)
    return file


@pytest.mark.parametrize(
    ("title", "brand", "text"),
    [
        ("Pen", "Bic", "Pen. Bic!"),
        ("Pen", "", "Pen!"),
        ("", "Bic", "Bic!"),
        ("", "", ""),
        (" a  b ", "c", "a b. c!"),
    ],
)
def test_missing_fields_drop_out(title: str, brand: str, text: str) -> None:
    assert render("{title}. {brand}!", {"title": title, "brand": brand}) == text


def test_labels_go_with_their_field() -> None:
    template = "Title: {title}; Brand: {brand}"
    assert render(template, {"title": "Pen", "brand": ""}) == "Title: Pen"
    assert render(template, {"title": "", "brand": "Bic"}) == "Brand: Bic"


def test_item_file_is_read_as_it_is(item_file: Path) -> None:
    """Quotes, NA, null and leading zeros are read as text."""
    items = read_items(item_file)
    assert list(items.index) == ["1", "2", "03"]
    assert texts_in_order(items, "{title}. {brand}", ["03", "1", "9"]) == ["null", 'A "quoted" pen. Bic', ""]
    assert coverage(items, ["title", "brand"]) == {"title": 0.6667, "brand": 0.6667}


def test_hash_depends_on_texts_and_their_order() -> None:
    hashes = {texts_hash(t) for t in (["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""])}
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{titel}", "no column 'titel'.*Did you mean 'title'"),
        ("text", "names no column"),
        ("{title", "template"),
    ],
)
def test_bad_templates(item_file: Path, template: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        texts_in_order(read_items(item_file), template, ["1"])


def test_bad_item_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_items(tmp_path / "none.item")
    (tmp_path / "a.item").write_text("id:token\ttitle:token\n1\tx\n")
    with pytest.raises(UserError, match="no column item_id"):
        read_items(tmp_path / "a.item")
    (tmp_path / "c.item").write_bytes(b"item_id:token\ttitle:token\n1\t\xff\n")
    with pytest.raises(UserError, match="not a table of tab-separated UTF-8"):
        read_items(tmp_path / "c.item")
    (tmp_path / "d.item").write_text("item_id:token\ttitle:token\n1\tx\t\n")  # a trailing tab
    assert list(read_items(tmp_path / "d.item").index) == ["1"]
    (tmp_path / "b.item").write_text("item_id:token\ttitle:token\n1\tx\n1\ty\n")
    with pytest.raises(UserError, match="item '1' more than once"):
        read_items(tmp_path / "b.item")
