"""Typed dataclasses of JSON, YAML and flags: what is wrong is told in one line that names the field."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.schema import STRICT, Number, checked, one_line, read_json


@dataclass(frozen=True, config=STRICT)
class Part:
    name: str
    size: int = 0


@dataclass(frozen=True, config=STRICT)
class Whole:
    title: str
    parts: tuple[Part, ...] = ()
    least_share: Number | None = 0.5
    order: Literal["first", "last or none", "all"] = "first"
    on: bool = True

    def __post_init__(self) -> None:
        if self.title == "wrong":
            raise UserError("this title can't be")


@pytest.mark.parametrize("value", [4, 4.0, 10**30, -1, float("inf"), None])
def test_a_number_stays_what_it_was(value: Any) -> None:
    made = checked(Whole, {"title": "x", "least_share": value})
    assert made.least_share == value
    assert type(made.least_share) is type(value)
    assert type(replace(made, title="y").least_share) is type(value)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "f.yaml: field 'title' is missing or empty"),
        ({"titel": "x"}, "f.yaml: unknown field 'titel'. Did you mean 'title'?"),
        ({"title": "x", 5: 1}, "f.yaml: unknown field '5'."),
        ({"title": 5}, "f.yaml: field 'title' must be text, not '5'"),
        ({"title": None}, "f.yaml: field 'title' is missing or empty"),
        ({"title": "x", "least_share": "5"}, "f.yaml: field 'least_share' must be a number, not '5'"),
        ({"title": "x", "least_share": True}, "f.yaml: field 'least_share' must be a number, not 'True'"),
        ({"title": "x", "on": 1}, "f.yaml: field 'on' must be true or false, not '1'"),
        ({"title": "x", "parts": "a"}, "f.yaml: field 'parts' must be a list, not 'a'"),
        ({"title": "wrong"}, "f.yaml: this title can't be"),
        ([1], "f.yaml: expected a mapping of fields, found '[1]'"),
        (None, "f.yaml: expected a mapping of fields, found 'None'"),
    ],
)
def test_what_is_wrong_is_one_line(values: Any, line: str) -> None:
    with pytest.raises(UserError) as error:
        checked(Whole, values, "f.yaml: ")
    assert str(error.value) == line


def test_words_may_be_others() -> None:
    words = {"unknown": "no such flag --{field}", "wrong": "--{flag} '{value}' must be {expected}"}
    with pytest.raises(UserError, match=r"^--least-share 'a b' must be a number$"):
        checked(Whole, {"title": "x", "least_share": "a\n  b"}, **words)
    with pytest.raises(UserError, match=r"^no such flag --nothing\.$"):
        checked(Whole, {"title": "x", "nothing": 1}, **words)
    with pytest.raises(UserError, match=r"^--order 'no' must be one of first, last, none, all$"):
        checked(Whole, {"title": "x", "order": "no"}, **words)


def test_a_place_by_position_is_named() -> None:
    with pytest.raises(ValidationError) as error:
        Part("x", "large")
    assert one_line(error.value, Part) == "field 'size' must be a whole number, not 'large'"


def test_json_is_read_with_its_nested_parts(tmp_path: Path) -> None:
    file = tmp_path / "whole.json"
    file.write_text('{"title": "ü", "parts": [{"name": "a", "size": 3}], "least_share": 1}', encoding="utf-8")
    made = read_json(Whole, file, "a whole")
    assert made == Whole("ü", (Part("a", 3),), 1)
    assert asdict(made)["parts"] == ({"name": "a", "size": 3},)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b'{"title": "x", "parts": [{"name": "a"}, {"size": 3}]}',
            "field 'parts.1.name' is missing or empty",
        ),
        (b'{"title": "x", "parts": [{"name": "a", "size": 3.5}]}', "'parts.0.size' must be a whole number"),
        (b'{"title": "x", "parts": [7]}', "field 'parts.0' must be a mapping, not '7'"),
        (b"[1]", "expected a mapping of fields, found '[1]'"),
        (b'{"title": ', "it is not JSON (EOF while parsing"),
        (b'{"title": "\xff"}', "it is not JSON ("),
        (b"", "it is not JSON ("),
    ],
)
def test_json_that_is_something_else(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "whole.json"
    file.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_json(Whole, file, "a whole")
    assert str(error.value).startswith(f"{file} is not a whole: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
