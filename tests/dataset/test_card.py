"""Test data cards: reading and writing one gives the same bytes, and a file that is not a card is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recbole_llminit.dataset.card import Count, DataCard, RawFile, read_card
from recbole_llminit.dataset.items import template_of
from recbole_llminit.dataset.places import SHIPPED
from recbole_llminit.utils.errors import UserError

FOLDER = SHIPPED / "beauty-mini"
CONTENT: dict[str, Any] = json.loads((FOLDER / "card.json").read_text())


def written(folder: Path, **changes: Any) -> Path:
    (folder / "card.json").write_text(json.dumps(CONTENT | changes))
    return folder


def test_the_shipped_card_is_written_as_it_was_read(tmp_path: Path) -> None:
    card = read_card(FOLDER)
    assert isinstance(card, DataCard)
    card.write(tmp_path / "card.json")
    assert (tmp_path / "card.json").read_bytes() == (FOLDER / "card.json").read_bytes()
    assert type(card.filters["min_rating"]) is int


def test_files_and_counts_keep_their_kinds(tmp_path: Path) -> None:
    files = (RawFile("a.csv", 10**12, "ab"), RawFile("ü.gz", 3, "cd", "https://host/ü.gz"))
    card = replace(read_card(FOLDER), files=files, counts=(Count("read", 3, 2, 1),), template=None)
    card.write(tmp_path / "card.json")
    assert read_card(tmp_path) == card


def test_a_folder_without_a_card_has_none(tmp_path: Path) -> None:
    assert read_card(tmp_path) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shine": 1}, "unknown field 'shine'"),
        ({"seed": "2020"}, "field 'seed' must be a whole number, not '2020'"),
        ({"synthetic": 1}, "field 'synthetic' must be true or false, not '1'"),
        ({"sha256": ["ab"]}, "field 'sha256' must be a mapping"),
        ({"coverage": {"title": "all"}}, "field 'coverage.title' must be a number, not 'all'"),
        ({"files": [{"name": "a", "bytes": 1}]}, "field 'files.0.sha256' is missing or empty"),
        (
            {"counts": [{**CONTENT["counts"][0], "users": 1.5}]},
            "field 'counts.0.users' must be a whole number",
        ),
        ({"counts": [{**CONTENT["counts"][0], "shops": 1}]}, "unknown field 'counts.0.shops'"),
    ],
)
def test_a_wrong_field_is_named_with_the_file(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        read_card(written(tmp_path, **changes))
    file = tmp_path / "card.json"
    assert str(error.value).startswith(f"{file} is not the card of a prepared dataset: {words}")


@pytest.mark.parametrize("field", list(CONTENT))
def test_every_field_is_needed(tmp_path: Path, field: str) -> None:
    content = {name: value for name, value in CONTENT.items() if name != field}
    (tmp_path / "card.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"not the card of a prepared dataset: field '{field}' is missing"):
        read_card(tmp_path)


def test_the_template_is_the_cards(tmp_path: Path) -> None:
    assert template_of(FOLDER / "beauty-mini.item") == "{title}. {brand}. {categories}"
    file = tmp_path / "shop.item"
    file.write_text("item_id:token\tname:token_seq\tmaker:token\n1\tPen\tLamy\n")
    for _ in range(2):
        with pytest.raises(UserError) as error:
            template_of(file)
        assert str(error.value) == (
            f'--template is missing: {file} has the columns name, maker, e.g. "{{name}}. {{maker}}"'
        )
        written(tmp_path, template=None)  # a card without a template
