"""List the cells of a study's grid, and the run behind each cell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from recbole_llminit.dataset.places import atomic_file, tables
from recbole_llminit.experiment.study import PRESENT, Keys, Study
from recbole_llminit.model.specs import PREFIX
from recbole_llminit.plugin.registry import spec_of
from recbole_llminit.utils.errors import UserError

Varied = tuple[tuple[str, Any], ...]  # the varied keys of a cell with their values


@dataclass(frozen=True)
class Run:
    """One training: a model, a dataset, and every config key that the study sets, with protocol and seed."""

    model: str
    dataset: str
    keys: Keys

    @property
    def id(self) -> str:
        """The run's name in files: readable, and through its hash different for every other training.

        Keys that say only where and how the run is carried out, such as `data_path`, do not enter the hash.
        """
        spec = {"model": self.model, "dataset": self.dataset, "keys": self.keys}
        digest = hashlib.sha256(json.dumps(spec, sort_keys=True, default=str).encode()).hexdigest()[:12]
        protocol = Path(str(self.keys["protocol"])).stem
        return f"{self.dataset}-{self.model}-{protocol}-{self.keys['seed']}-{digest}"


@dataclass(frozen=True)
class Cell:
    """One seed of one line in the study's table, and the run that its numbers come from.

    Several cells may share a run: a plain model that reads no vectors has the same run for every table
    of vectors.
    """

    dataset: str
    model: str
    setting: str
    protocol: str
    varied: Varied
    run: Run

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.run.keys["seed"])

    @property
    def search(self) -> tuple[Any, ...]:
        """What identifies the cell's hyper-parameter search; cells that differ only in the seed share it."""
        return (self.dataset, self.model, self.setting, self.protocol, self.varied)


def cells(study: Study, data_path: Path, missing: Sequence[str] = ()) -> list[Cell]:
    """Return the cells of a study, in the order of its table.

    Args:
        study: The study.
        data_path: Folder of datasets, where tables of vectors are found if the study varies all of them.
        missing: Settings to leave out.

    Raises:
        UserError: If the study varies all tables of vectors of a dataset, and the dataset has none.
    """
    settings = [name for name in study.settings if name not in missing]
    return [
        Cell(dataset, model, setting, protocol, varied, _run(study, dataset, model, setting, varied, own))
        for dataset in study.datasets
        for protocol in study.protocols
        for model in study.models
        for varied in _variations(study, dataset, data_path)
        for setting in settings
        for own in ({"protocol": protocol, "seed": seed} for seed in study.seeds)
    ]


def _variations(study: Study, dataset: str, data_path: Path) -> Iterator[Varied]:
    values = [
        tables_of(data_path, dataset) if some == PRESENT and key == "llm_embedding" else some
        for key, some in study.vary.items()
    ]
    for combination in product(*values):
        yield tuple(zip(study.vary, combination, strict=True))


def tables_of(data_path: Path, dataset: str) -> list[str]:
    """Return the names of a dataset's tables of vectors.

    Raises:
        UserError: If the dataset has none.
    """
    names = tables(dataset, data_path)
    if not names:
        folder = data_path / dataset
        verbs = ("encode",) if atomic_file(folder, "item").is_file() else ("prepare", "encode")
        how = ", then ".join(f"recbole-llminit {verb} {dataset} --data-path {data_path}" for verb in verbs)
        raise UserError(f"no table of vectors in {folder}; make one with: {how}")
    return names


def _run(study: Study, dataset: str, model: str, setting: str, varied: Varied, own: Keys) -> Run:
    """Return the run of a cell.

    Keys of the setting win over varied keys, those over `per_model`, and those over the study's `keys`.
    """
    named = study.settings[setting]
    trained = str(named.get("model") or (PREFIX + model if any(map(_is_of_vectors, named)) else model))
    keys = {**study.keys, **study.per_model.get(model, {}), **dict(varied), **named, **own}
    keys.pop("model", None)
    if trained == model and not spec_of(model).reads_vectors:  # their keys would only train it twice
        keys = {key: value for key, value in keys.items() if not _is_of_vectors(key)}
    return Run(trained, dataset, keys)


def _is_of_vectors(key: str) -> bool:
    return key.startswith("llm_")


def with_best(cell: Cell, best: Mapping[str, Any]) -> Cell:
    """Return the cell with the best values of its search among the keys of its run."""
    return replace(cell, run=replace(cell.run, keys={**cell.run.keys, **best}))
