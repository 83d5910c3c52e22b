"""A recipe: which raw data, and how they are filtered. From ``props/dataset/*.yaml`` or from flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ValidationInfo
from pydantic.dataclasses import dataclass

from recbole_llminit.dataset.places import PROPS
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.schema import STRICT, Number, checked
from recbole_llminit.utils.yaml import read_mapping

_WRONG = "--{flag} '{value}' must be {expected}"
_UNKNOWN = "'prepare' has no field '{field}'"


def seconds(day: str | None, flag: str) -> float | None:
    """Return the second since 1970 at which a day begins (UTC).

    Raises:
        UserError: If it is no day.
    """
    if day is None:
        return None
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        raise UserError(f"--{flag} '{day}' is no day; write it as 2014-01-31") from None


def _day(value: Any, field: ValidationInfo) -> str | None:
    """Return a day as text; YAML reads it as a date, or a year as a number."""
    day = None if value is None else str(value)
    seconds(day, str(field.field_name))
    return day


_Day = Annotated[str | None, BeforeValidator(_day)]


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """What ``prepare`` does; the filters run in the order they stand here.

    Attributes:
        source: The kind of raw data, a key of ``SOURCES``.
        reviews: File or URL of interactions.
        metadata: File or URL of items.
        path: Folder, archive or URL of an archive.
        sample: Share of the users to keep, for a quick look.
        min_rating: Least rating; None keeps all.
        duplicates: Which interaction of a user and an item to keep: ``first``, ``last`` or ``all``.
        since: First day, as YYYY-MM-DD (UTC).
        until: Day after the last, as YYYY-MM-DD (UTC).
        min_text: Least characters of text an item has.
        kcore: Least interactions of a user and of an item, 0 for any.
        review_text: Add the training part's reviews to the items' text columns.
        template: Text of an item.
        columns: Names in a table of interactions.
        item_columns: Names in a table of items.
        time_unit: Of a table's timestamps.
        generate: Size of a synthetic world.
        seed: Of sampling and generating.
    """

    source: str
    reviews: str | None = None
    metadata: str | None = None
    path: str | None = None
    sample: Number = 1.0
    min_rating: Number | None = 4.0
    duplicates: Literal["first", "last", "all"] = "first"
    since: _Day = None
    until: _Day = None
    min_text: int = 0
    kcore: int = 5
    review_text: bool = False
    template: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    item_columns: Mapping[str, str] = field(default_factory=dict)
    time_unit: str = "seconds"
    generate: Mapping[str, int] = field(default_factory=dict)
    seed: int = 2020

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            UserError: With the value and what was expected.
        """
        if not 0 < self.sample <= 1:
            raise UserError(f"--sample {self.sample} must be a share of the users above 0 and up to 1")
        for flag in ("min_text", "kcore"):
            if getattr(self, flag) < 0:
                raise UserError(f"--{flag.replace('_', '-')} {getattr(self, flag)} must not be negative")

    def changed(self, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe with some fields in place of its own.

        Raises:
            UserError: With the value and what was expected.
        """
        return checked(Recipe, {**vars(self), **values}, wrong=_WRONG)


def recipes() -> list[str]:
    """Return the names that have a recipe."""
    return sorted(file.stem for file in (PROPS / "dataset").glob("*.yaml") if "prepare" in read_mapping(file))


def find_recipe(name: str) -> Recipe | None:
    """Return the recipe of a dataset, or None if there is none.

    Raises:
        UserError: If it names a field that recipes don't have, or a value that makes no sense.
    """
    file = PROPS / "dataset" / f"{name}.yaml"
    fields = read_mapping(file).get("prepare") if file.is_file() else None
    if fields is None:
        return None
    return checked(Recipe, fields, f"{file}: ", unknown=_UNKNOWN, wrong=_WRONG)
