"""What a report is about: results, each with its place beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_llminit.registry import host_name
from recbole_llminit.report.observe import users_file
from recbole_llminit.report.table import read_result


@dataclass(frozen=True)
class Entry:
    """A result and where it stands: settings of the same place are compared with its base."""

    dataset: str
    protocol: str
    group: str  # the backbone, and what is varied
    setting: str
    seed: int
    is_base: bool
    result: dict[str, Any]
    file: Path

    @property
    def place(self) -> tuple[str, str, str]:
        """What entries have in common that can be compared."""
        return (self.dataset, self.protocol, self.group)

    @property
    def has_users(self) -> bool:
        """Whether the run's users are stored."""
        return users_file(self.file).is_file()


def of_files(files: Sequence[Path]) -> list[Entry]:
    """Return the entries of result files; the first of a dataset, protocol and backbone is the base."""
    entries: list[Entry] = []
    for file in files:
        result = read_result(file)
        place = (result["dataset"], result["protocol"], host_name(result["model"]))
        others = [entry for entry in entries if entry.place == place]
        taken = {entry.setting for entry in others}
        name = result["model"] if result["model"] not in taken else f"{result['model']} ({file.stem})"
        entries.append(Entry(*place, name, int(result["seed"]), not others, result, file))
    return entries


def of_rows(rows: pd.DataFrame, runs: Path, base: str, vary: Sequence[str]) -> list[Entry]:
    """Return the entries of a study's rows.

    Args:
        rows: The rows.
        runs: Folder of result files.
        base: Name of the base setting.
        vary: The columns of what is varied.
    """
    entries = []
    for row in rows.to_dict("records"):
        file = runs / f"{row['run']}.json"
        group = ", ".join([row["model"], *(f"{key} {row[key]}" for key in vary)])
        setting, seed = str(row["setting"]), int(row["seed"])
        entry = Entry(
            row["dataset"], row["protocol"], group, setting, seed, setting == base, read_result(file), file
        )
        entries.append(entry)
    return entries


def first_seeds(entries: Sequence[Entry]) -> list[Entry]:
    """Return, of each place and setting, the entry of the smallest seed."""
    first: dict[tuple[Any, ...], Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.seed):
        first.setdefault((entry.place, entry.setting), entry)
    return [entry for entry in entries if first[entry.place, entry.setting] is entry]
