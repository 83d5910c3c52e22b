"""Label the results of a report, so that each can be compared with its baseline."""

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

Place = tuple[str, str, str]  # dataset, protocol and group
# Config keys in which runs of one setting may differ.
_NO_SETTING = {
    *("seed", "result_file", "data_path", "checkpoint_dir", "resume", "show_progress", "state", "worker"),
    *("use_gpu", "gpu_id", "device", "local_rank"),
}


@dataclass(frozen=True)
class Entry:
    """A result with its labels. Settings of the same place are compared with the baseline of that place."""

    dataset: str
    protocol: str
    group: str  # the backbone (a plain model's name), with the values of varied keys
    setting: str
    seed: int
    is_base: bool  # whether the setting is the baseline
    result: dict[str, Any]
    file: Path

    @property
    def place(self) -> Place:
        """Dataset, protocol and group; entries can be compared if these are equal."""
        return (self.dataset, self.protocol, self.group)

    @property
    def has_users(self) -> bool:
        """Whether the run's history, ranking and metrics of each user are stored."""
        return users_file(self.file).is_file()


def of_files(files: Sequence[Path]) -> list[Entry]:
    """Return the entries of result files.

    Files that differ only in the seed are of one setting. The backbone of ``LLMInit<X>`` is its host model
    (the RecBole model X beneath it), that of any other model is the model itself. The baseline of a dataset,
    protocol and backbone is its first plain model, or its first setting if it has no plain model.
    """
    results = [(file, read_result(file)) for file in files]
    named: dict[Place, dict[str, str]] = {}  # the keys that define a setting -> its name
    entries: list[Entry] = []
    for file, result in results:
        place = (result["dataset"], result["protocol"], host_name(result["model"]))
        spec, model, names = _spec(result), result["model"], named.setdefault(place, {})
        if spec not in names:
            names[spec] = model if model not in names.values() else f"{model} ({file.stem})"
        entries.append(Entry(*place, names[spec], int(result["seed"]), False, result, file))
    bases: dict[Place, str] = {}
    for entry in sorted(entries, key=lambda entry: entry.result["model"] != entry.group):  # plain first
        bases.setdefault(entry.place, entry.setting)
    return [replace(entry, is_base=entry.setting == bases[entry.place]) for entry in entries]


def _spec(result: dict[str, Any]) -> str:
    """Return what defines a run's setting: its model, and all keys but the seed and those of the machine."""
    keys = {key: value for key, value in result["config"].items() if key not in _NO_SETTING}
    return json.dumps([result["model"], keys], sort_keys=True, default=str)


def of_rows(rows: pd.DataFrame, runs: Path, base: str, vary: Sequence[str]) -> list[Entry]:
    """Return the entries of a study's rows.

    Args:
        rows: The rows.
        runs: Folder of result files.
        base: Name of the setting that is the baseline.
        vary: The keys that the study varies, which are columns of the rows.
    """
    entries = []
    for row in rows.to_dict("records"):
        file, is_base = runs / f"{row['run']}.json", row["setting"] == base
        group = ", ".join([row["model"], *(f"{key} {row[key]}" for key in vary)])
        place = (row["dataset"], row["protocol"], group)
        entries.append(Entry(*place, row["setting"], int(row["seed"]), is_base, read_result(file), file))
    return entries


def by_table(entries: Sequence[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """Yield a title and the entries for each dataset and protocol."""
    for dataset, protocol in dict.fromkeys(entry.place[:2] for entry in entries):
        yield (
            f"{dataset}, {label(protocol)}",
            [entry for entry in entries if entry.place[:2] == (dataset, protocol)],
        )


def first_seeds(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entry of the smallest seed for each place and setting."""
    first: dict[tuple[Any, ...], Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.seed):
        first.setdefault((entry.place, entry.setting), entry)
    return [entry for entry in entries if first[entry.place, entry.setting] is entry]
