"""The data card: what a dataset was made from, how, and what was left after each step."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from recbole_llminit.prepare.files import RawFile
from recbole_llminit.utils.errors import UserError

CARD = "card.json"


@dataclass(frozen=True)
class Count:
    """How much was there after a step."""

    step: str
    interactions: int
    users: int
    items: int


@dataclass(frozen=True)
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


def read_card(folder: Path) -> dict[str, Any] | None:
    """Return the card of a dataset's folder, or None if it has none.

    Raises:
        UserError: If the file is no data card.
    """
    file = folder / CARD
    if not file.is_file():
        return None
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}") from None
    if not isinstance(card, dict) or not {f.name for f in fields(DataCard)} <= set(card):
        raise UserError(f"{file} is not the card of a prepared dataset")
    return card
