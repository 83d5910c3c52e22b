"""Recipes of datasets: the raw data and the filters, from ``props/dataset/*.yaml`` or from flags."""

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
    """Return the time at which a day begins (UTC), in seconds since 1970; None for None.

    Raises:
        UserError: If `day` is not a date like 2014-01-31; the message names `flag`.
    """
    if day is None:
        return None
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        raise UserError(f"--{flag} '{day}' is no day; write it as 2014-01-31") from None


def _day(value: Any, field: ValidationInfo) -> str | None:
    """Check a day and return it as text; YAML gives a date, or a number if only a year was written."""
    day = None if value is None else str(value)
    seconds(day, str(field.field_name))
    return day


_Day = Annotated[str | None, BeforeValidator(_day)]


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """The input and the options of ``prepare``; the filters run in the order given here.

    Attributes:
        source: Kind of raw data, a key of ``SOURCES``.
        reviews: File or URL of the interactions.
        metadata: File or URL of the items.
        path: Folder, archive or URL of an archive of the raw files.
        sample: Share of the users to keep, for a quick trial.
        min_rating: Lowest rating to keep; None keeps all.
        duplicates: Interaction to keep of each (user, item) pair: ``first``, ``last`` or ``all``.
        since: First day to keep, as YYYY-MM-DD (UTC).
        until: Day after the last day to keep, as YYYY-MM-DD (UTC).
        min_text: Least number of characters in the text columns of an item.
        kcore: Least number of interactions of a user and of an item; 0 keeps all.
        review_text: Whether to add the training part's reviews to the items' text columns.
        template: Template of the item texts; None for the source's default.
        columns: Column names in a table of interactions, by user, item, rating and timestamp.
        item_columns: Column names in a table of items, by item and by the names of text columns.
        time_unit: Unit of a table's timestamps: seconds, milliseconds or iso.
        generate: Numbers of users, items and interactions of a synthetic dataset.
        seed: Seed of sampling and of generating.
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
        """Check the ranges of the numbers.

        Raises:
            UserError: If a number is out of its range.
        """
        if not 0 < self.sample <= 1:
            raise UserError(f"--sample {self.sample} must be a share of the users above 0 and up to 1")
        for flag in ("min_text", "kcore"):
            if getattr(self, flag) < 0:
                raise UserError(f"--{flag.replace('_', '-')} {getattr(self, flag)} must not be negative")

    def changed(self, values: Mapping[str, Any]) -> Recipe:
        """Return a copy of the recipe in which `values` replace the fields they name.

        Raises:
            UserError: If a value is wrong.
        """
        return checked(Recipe, {**vars(self), **values}, wrong=_WRONG)


def recipes() -> list[str]:
    """Return the names of the datasets that have a recipe, in alphabetical order."""
    return sorted(file.stem for file in (PROPS / "dataset").glob("*.yaml") if "prepare" in read_mapping(file))


def find_recipe(name: str) -> Recipe | None:
    """Return the recipe of a dataset, or None if there is none.

    Raises:
        UserError: If the recipe has an unknown field or a wrong value.
    """
    file = PROPS / "dataset" / f"{name}.yaml"
    fields = read_mapping(file).get("prepare") if file.is_file() else None
    if fields is None:
        return None
    return checked(Recipe, fields, f"{file}: ", unknown=_UNKNOWN, wrong=_WRONG)
