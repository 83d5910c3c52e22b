"""The data card: what a dataset was made from, how, and what was left after each step."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from recbole_llminit.utils.schema import STRICT, read_json

CARD = "card.json"


@dataclass(frozen=True, config=STRICT)
class RawFile:
    """An input file."""

    name: str
    bytes: int
    sha256: str
    url: str | None = None


@dataclass(frozen=True, config=STRICT)
class Count:
    """How much was there after a step."""

    step: str
    interactions: int
    users: int
    items: int


@dataclass(frozen=True, config=STRICT)
class DataCard:
    """What is known of a prepared dataset.

    Attributes:
        dataset: Its name.
        source: The kind of raw data.
        version: Which release of it, in words.
        synthetic: True if no real user or item is in it.
        files: The raw files with their hashes.
        filters: The filters' values, in the order they ran.
        counts: What was there after each step, the raw data first.
        coverage: Share of items in which a text column is not empty.
        template: Text of an item, for ``encode``.
        review_text: True if the items have a column of reviews, from the training part of a leave-one-out
            split in order of time.
        seed: Of sampling and generating.
        sha256: Of each atomic file.
        engine: What computed it.
        command: What makes it again.
    """

    dataset: str
    source: str
    version: str
    synthetic: bool
    files: tuple[RawFile, ...]
    filters: dict[str, Any]
    counts: tuple[Count, ...]
    coverage: dict[str, float]
    template: str | None
    review_text: bool
    seed: int
    sha256: dict[str, str]
    engine: str
    command: str

    def write(self, file: Path) -> None:
        """Write the card as JSON."""
        file.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_card(folder: Path) -> DataCard | None:
    """Return the card of a dataset's folder, or None if it has none.

    Raises:
        UserError: If the file is no data card.
    """
    file = folder / CARD
    return read_json(DataCard, file, "the card of a prepared dataset") if file.is_file() else None
