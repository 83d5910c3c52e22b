"""The grid of a study: its cells, and the runs that fill them."""

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
from recbole_llminit.utils.errors import UserError

Varied = tuple[tuple[str, Any], ...]  # (key, value) of what the study varies


@dataclass(frozen=True)
class Run:
    """One training: a model, a dataset, and every key that the study decides, with protocol and seed."""

    model: str
    dataset: str
    keys: Keys

    @property
    def id(self) -> str:
        """A name for files: readable, and by its hash different for every other training.

        The keys that only say where and how the run is carried out are no part of it.
        """
        spec = {"model": self.model, "dataset": self.dataset, "keys": self.keys}
        digest = hashlib.sha256(json.dumps(spec, sort_keys=True, default=str).encode()).hexdigest()[:12]
        protocol = Path(str(self.keys["protocol"])).stem
        return f"{self.dataset}-{self.model}-{protocol}-{self.keys['seed']}-{digest}"


@dataclass(frozen=True)
class Cell:
    """A place in the study's table, for one seed, and the run that fills it; a run may fill several."""

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
        """What one search of hyper-parameters is for: the cells that differ in the seed alone."""
        return (self.dataset, self.model, self.setting, self.protocol, self.varied)


def cells(study: Study, data_path: Path, missing: Sequence[str] = ()) -> list[Cell]:
    """Return the cells of a study's table, in its order.

    Args:
        study: The study.
        data_path: Folder of datasets, in which tables of vectors are looked for.
        missing: Settings to leave out.

    Raises:
        UserError: If the study varies the vectors that are present, and there are none.
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
        UserError: If there are none.
    """
    names = tables(dataset, data_path)
    if not names:
        folder = data_path / dataset
        verbs = ("encode",) if atomic_file(folder, "item").is_file() else ("prepare", "encode")
        how = ", then ".join(f"recbole-llminit {verb} {dataset} --data-path {data_path}" for verb in verbs)
        raise UserError(f"no table of vectors in {folder}; make one with: {how}")
    return names


def _run(study: Study, dataset: str, model: str, setting: str, varied: Varied, own: Keys) -> Run:
    """Return the run of a cell; of keys that are named twice, the later ones here hold."""
    named = study.settings[setting]
    trained = str(named.get("model") or (PREFIX + model if any(map(_is_of_vectors, named)) else model))
    keys = {**study.keys, **study.per_model.get(model, {}), **dict(varied), **named, **own}
    keys.pop("model", None)
    if trained == model:  # a plain model reads no vectors: their keys would only make the same run twice
        keys = {key: value for key, value in keys.items() if not _is_of_vectors(key)}
    return Run(trained, dataset, keys)


def _is_of_vectors(key: str) -> bool:
    return key.startswith("llm_")


def with_best(cell: Cell, best: Mapping[str, Any]) -> Cell:
    """Return the cell, its run under the values that a search found best."""
    return replace(cell, run=replace(cell.run, keys={**cell.run.keys, **best}))
