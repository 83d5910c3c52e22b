"""What a report is about: results, each with its place beside the others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_llminit.model.specs import host_name
from recbole_llminit.report.table import label, read_result
from recbole_llminit.run.diagnostics import users_file

Place = tuple[str, str, str]
# Config keys in which the runs of one setting may differ.
_NO_SETTING = {
    *("seed", "result_file", "data_path", "checkpoint_dir", "resume", "show_progress", "state", "worker"),
    *("use_gpu", "gpu_id", "device", "local_rank"),
}


@dataclass(frozen=True)
class Entry:
    """A result and where it stands: settings of the same place are compared with its baseline."""

    dataset: str
    protocol: str
    group: str  # the backbone, and what is varied
    setting: str
    seed: int
    is_base: bool
    result: dict[str, Any]
    file: Path

    @property
    def place(self) -> Place:
        """What entries have in common that can be compared."""
        return (self.dataset, self.protocol, self.group)

    @property
    def has_users(self) -> bool:
        """Whether the run's users are stored."""
        return users_file(self.file).is_file()


def of_files(files: Sequence[Path]) -> list[Entry]:
    """Return the entries of result files.

    Files that differ in the seed alone are of one setting. The baseline of a dataset, protocol and backbone
    is its first plain model, and where there is none the first setting.
    """
    results = [(file, read_result(file)) for file in files]
    named: dict[Place, dict[str, str]] = {}  # what a setting is -> its name
    entries: list[Entry] = []
    for file, result in results:
        place = (result["dataset"], result["protocol"], host_name(result["model"]))
        spec, model, names = _spec(result), result["model"], named.setdefault(place, {})
        if spec not in names:
            names[spec] = model if model not in names.values() else f"{model} ({file.stem})"
        entries.append(Entry(*place, names[spec], int(result["seed"]), False, result, file))
    bases: dict[Place, str] = {}
    for entry in sorted(entries, key=lambda entry: entry.result["model"] != entry.group):  # plain ones first
        bases.setdefault(entry.place, entry.setting)
    return [replace(entry, is_base=entry.setting == bases[entry.place]) for entry in entries]


def _spec(result: dict[str, Any]) -> str:
    """Return what makes a run's setting: the model, and all keys but the seed and those of the machine."""
    keys = {key: value for key, value in result["config"].items() if key not in _NO_SETTING}
    return json.dumps([result["model"], keys], sort_keys=True, default=str)


def of_rows(rows: pd.DataFrame, runs: Path, base: str, vary: Sequence[str]) -> list[Entry]:
    """Return the entries of a study's rows.

    Args:
        rows: The rows.
        runs: Folder of result files.
        base: Name of the setting that is the baseline.
        vary: The columns of what is varied.
    """
    entries = []
    for row in rows.to_dict("records"):
        file, is_base = runs / f"{row['run']}.json", row["setting"] == base
        group = ", ".join([row["model"], *(f"{key} {row[key]}" for key in vary)])
        place = (row["dataset"], row["protocol"], group)
        entries.append(Entry(*place, row["setting"], int(row["seed"]), is_base, read_result(file), file))
    return entries


def by_table(entries: Sequence[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """Yield the entries of each dataset and protocol, and what the two are called."""
    for dataset, protocol in dict.fromkeys(entry.place[:2] for entry in entries):
        yield (
            f"{dataset}, {label(protocol)}",
            [entry for entry in entries if entry.place[:2] == (dataset, protocol)],
        )


def first_seeds(entries: Sequence[Entry]) -> list[Entry]:
    """Return, of each place and setting, the entry of the smallest seed."""
    first: dict[tuple[Any, ...], Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.seed):
        first.setdefault((entry.place, entry.setting), entry)
    return [entry for entry in entries if first[entry.place, entry.setting] is entry]
