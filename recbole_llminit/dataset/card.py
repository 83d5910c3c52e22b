"""The data card: records what a dataset was made from, how, and how much was left after each step."""

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
    """A raw input file: its name, size, hash and, if it was downloaded, URL."""

    name: str
    bytes: int
    sha256: str
    url: str | None = None


@dataclass(frozen=True, config=STRICT)
class Count:
    """The numbers of interactions, users and items that were left after a step."""

    step: str
    interactions: int
    users: int
    items: int


@dataclass(frozen=True, config=STRICT)
class DataCard:
    """The record that `prepare` writes about a dataset.

    Attributes:
        dataset: Name of the dataset.
        source: Kind of raw data, a key of ``SOURCES``.
        version: Release of the raw data, in words.
        synthetic: True if the data were generated and contain no real user or item.
        files: The raw files with their hashes.
        filters: Value of each filter, in the order they ran.
        counts: Numbers after each step, starting with the raw data.
        coverage: Share of items in which each text column is not empty.
        template: Template of the item texts that ``encode`` uses by default; None without text columns.
        review_text: True if the items have a column of reviews, from the training part of a leave-one-out
            split in order of time.
        seed: Seed of sampling and of generating synthetic data.
        sha256: SHA-256 of each atomic file, by file name.
        engine: Names and versions of the packages that computed the dataset.
        command: Command line that makes the dataset again.
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
    """Return the card in a dataset's folder, or None if the folder has none.

    Raises:
        UserError: If the file is not a data card.
    """
    file = folder / CARD
    return read_json(DataCard, file, "the card of a prepared dataset") if file.is_file() else None
