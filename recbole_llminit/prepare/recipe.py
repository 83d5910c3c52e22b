"""A recipe: which raw data, and how they are filtered. From ``props/dataset/*.yaml`` or from flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from recbole_llminit.dataset.places import PROPS
from recbole_llminit.utils.errors import UserError, nearest

DUPLICATES = ("first", "last", "all")
_NUMBERS = {"sample": float, "min_rating": float, "min_text": int, "kcore": int, "seed": int}


@dataclass(frozen=True)
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
    sample: float = 1.0
    min_rating: float | None = 4.0
    duplicates: str = "first"
    since: str | None = None
    until: str | None = None
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
        for flag, kind in _NUMBERS.items():
            value = getattr(self, flag)
            if value is not None and not isinstance(value, (int, kind)):
                raise UserError(f"{flag} '{value}' must be {'a whole' if kind is int else 'a'} number")
        if self.duplicates not in DUPLICATES:
            raise UserError(f"--duplicates '{self.duplicates}' must be one of {', '.join(DUPLICATES)}")
        if not 0 < self.sample <= 1:
            raise UserError(f"--sample {self.sample} must be a share of the users above 0 and up to 1")
        for flag in ("min_text", "kcore"):
            if getattr(self, flag) < 0:
                raise UserError(f"--{flag.replace('_', '-')} {getattr(self, flag)} must not be negative")
        for flag in ("since", "until"):
            seconds(getattr(self, flag), flag)

    def changed(self, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe with some fields in place of its own."""
        return replace(self, **values)


def seconds(day: str | None, flag: str) -> float | None:
    """Return the second since 1970 at which a day begins (UTC).

    Raises:
        UserError: If it is no day.
    """
    if day is None:
        return None
    try:
        return datetime.strptime(str(day), "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        raise UserError(f"--{flag} '{day}' is no day; write it as 2014-01-31") from None


def recipes() -> list[str]:
    """Return the names that have a recipe."""
    return sorted(file.stem for file in (PROPS / "dataset").glob("*.yaml") if "prepare" in _read(file))


def find_recipe(name: str) -> Recipe | None:
    """Return the recipe of a dataset, or None if there is none.

    Raises:
        UserError: If it names a field that recipes don't have, or a value that makes no sense.
    """
    file = PROPS / "dataset" / f"{name}.yaml"
    content = _read(file).get("prepare") if file.is_file() else None
    if content is None:
        return None
    known = [f.name for f in fields(Recipe)]
    for key in content:
        if key not in known:
            raise UserError(f"{file}: 'prepare' has no field '{key}'." + nearest(key, known))
    if "source" not in content:
        raise UserError(f"{file}: 'prepare' has no 'source', the kind of raw data")
    values: dict[str, Any] = {k: str(v) if isinstance(v, date) else v for k, v in content.items()}
    return Recipe(**values)


def _read(file: Path) -> dict[str, Any]:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}
