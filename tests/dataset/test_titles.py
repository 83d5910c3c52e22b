"""Test titles: from the column that a key names, or from the first column whose name suggests titles."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from recbole_llminit.dataset.titles import item_titles, read_titles
from recbole_llminit.utils.errors import UserError


def config_with(folder: Path, header: str, *rows: str, **keys: str) -> dict[str, Any]:
    """Write the item texts of a dataset, with a tab in place of each ``|``; return the keys of a run."""
    text = "\n".join([header, *rows]).replace("|", "\t")
    (folder / f"{folder.name}.item").write_text(text + "\n")
    return {"data_path": str(folder), "ITEM_ID_FIELD": "item_id", **keys}


def test_titles_by_a_key(tmp_path: Path) -> None:
    rows = ("1|Ann|Pen  holder", "2|Bob|", "3|Cid|Ink")
    config = config_with(tmp_path, "item_id:token|title:token_seq|product:token_seq", *rows, own="product")
    assert read_titles(config, "own") == {"1": "Pen  holder", "3": "Ink"}
    tokens = np.array(["[PAD]", "3", "2", "1", "9"])
    dataset = SimpleNamespace(iid_field="item_id", field2id_token={"item_id": tokens})
    assert item_titles(config, dataset, "own") == ["", "Ink", "No Title", "Pen holder", "No Title"]


@pytest.mark.parametrize(
    ("header", "titles"),
    [
        ("item_id:token|movie_title:token_seq|name:token_seq", {"1": "A"}),
        ("item_id:token|brand:token_seq|name:token_seq", {"1": "B"}),
        ("item_id:token|brand:token_seq|surname:token_seq", {}),
    ],
)
def test_titles_by_the_looks_of_the_column(tmp_path: Path, header: str, titles: dict[str, str]) -> None:
    assert read_titles(config_with(tmp_path, header, "1|A|B", "2||")) == titles


def test_a_column_that_is_not_there_is_named_with_its_key(tmp_path: Path) -> None:
    config = config_with(tmp_path, "item_id:token|title:token_seq", "1|A", some_key="titel")
    with pytest.raises(UserError, match="^some_key 'titel': .* has the columns title. Did you mean 'title'"):
        read_titles(config, "some_key")


def test_without_item_texts_there_are_no_titles(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no item texts: .* does not exist"):
        read_titles({"data_path": str(tmp_path), "ITEM_ID_FIELD": "item_id"})
