"""A study: one YAML file that says which runs are compared, and the cells of its table."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from recbole_llminit.dataset.places import ATOMIC_DATA, PROPS
from recbole_llminit.plugin.registry import PREFIX
from recbole_llminit.utils.errors import UserError, nearest

Keys = dict[str, Any]
_STUDIES = PROPS / "experiment"
_REQUIRED = ("datasets", "models", "settings", "protocols", "seeds", "base")
_TEXTS = ("name", "base", "about")
_LISTS = ("datasets", "models", "protocols", "seeds", "metrics", "optional")
_KINDS: dict[str, type] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_LISTS, list),
    **dict.fromkeys(("settings", "keys", "per_model", "vary", "tune"), dict),
}
_FOLDERS = ("runs", "searches", "work", "logs")  # beside the studies' own
_TABLES = "present"  # `vary: {llm_embedding: present}` stands for every table of vectors of the dataset


class _Loader(yaml.SafeLoader):
    """YAML as RecBole reads it: 1e-3 is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(text: str) -> Any:
    """Read YAML as RecBole does."""
    return yaml.load(text, Loader=_Loader)


@dataclass(frozen=True)
class Study:
    """The fields of a study's file; the first six are required."""

    name: str
    datasets: list[str]
    models: list[str]
    settings: dict[str, Keys]  # name -> keys; no `llm_*` key: the plain model. `model`: another one
    protocols: list[str]
    seeds: list[int]
    base: str  # the setting that the others are compared with
    about: str = ""
    metrics: list[str] = field(default_factory=lambda: ["Recall@10", "NDCG@10"])
    keys: Keys = field(default_factory=dict)  # of every run
    per_model: dict[str, Keys] = field(default_factory=dict)
    vary: dict[str, Any] = field(default_factory=dict)  # key -> values; each setting runs with each
    tune: dict[str, dict[str, list[Any]]] = field(default_factory=dict)  # model -> key -> values
    optional: list[str] = field(default_factory=list)  # settings left out where their model does not exist

    @classmethod
    def read(cls, name: str) -> Study:
        """Read a shipped study by its name, or any by its path.

        Raises:
            UserError: If there is no such study, or it is malformed.
        """
        file = Path(name) if name.endswith((".yaml", ".yml")) else _STUDIES / f"{name}.yaml"
        if not file.is_file():
            shipped = sorted(found.stem for found in _STUDIES.glob("*.yaml"))
            raise UserError(
                f"study '{name}' does not exist (there are {', '.join(shipped)}, or name a YAML file)."
                + nearest(name, shipped)
            )
        try:
            content = read_yaml(file.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise UserError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
        return cls.of(content, file)

    @classmethod
    def of(cls, content: Any, file: Path) -> Study:
        """Check what a study's file holds.

        Raises:
            UserError: If a field is missing, unknown or of another type.
        """
        if not isinstance(content, dict):
            raise UserError(f"{file} holds a {type(content).__name__}; expected a study's fields")
        content = {"name": file.stem, **content}
        for key in content:
            if key not in _KINDS:
                raise UserError(f"{file}: unknown field '{key}'.{nearest(str(key), _KINDS)}")
        for key in (*_REQUIRED, *content.keys() & {"metrics"}):  # `metrics` has a default
            if not content.get(key):
                raise UserError(f"{file}: field '{key}' is missing or empty")
        for key, value in content.items():
            if not isinstance(value, _KINDS[key]):
                raise UserError(f"{file}: field '{key}' must be a {_KINDS[key].__name__}, not '{value}'")
        study = cls(**{**content, "settings": {str(k): v or {} for k, v in content["settings"].items()}})
        study.check()
        return study

    def check(self) -> None:
        """Refuse names that nothing answers to.

        Raises:
            UserError: If the base or an optional setting is no setting, a seed no number, what is to be
                searched no list, or keys decide what the study's own lists do.
        """
        if self.name in _FOLDERS or Path(self.name).name != self.name:
            raise UserError(f"a study can't be called '{self.name}': its results go to a folder of that name")
        for name in (self.base, *self.optional):
            if name not in self.settings:
                raise UserError(
                    f"study {self.name}: '{name}' is none of its settings ({', '.join(self.settings)})"
                    + nearest(name, self.settings)
                )
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int):
                raise UserError(f"study {self.name}: seed '{seed}' is not a whole number")
        self._check_keys()

    def _check_keys(self) -> None:
        for keys in (self.keys, self.vary, *self.per_model.values()):
            if "model" in keys:
                raise UserError(
                    f"study {self.name}: 'model' can only stand in a setting; list backbones in 'models'"
                )
        for keys in (self.keys, self.vary, *self.per_model.values(), *self.settings.values()):
            for key in sorted({"dataset", "protocol", "seed"}.intersection(keys)):
                raise UserError(f"study {self.name}: '{key}' is no key of a setting; list it in '{key}s'")
        for model, space in self.tune.items():
            for key, values in space.items():
                if not isinstance(values, list) or not values:
                    raise UserError(f"tune: {model}'s {key} '{values}' must be a list of values")

    @property
    def group_metric(self) -> str:
        """The last metric of whole lists: what is shown by user and item group."""
        return next((name for name in reversed(self.metrics) if " " not in name), "NDCG@10")

    def selected(
        self, keys: Mapping[str, Any], base: str | None = None, **chosen: Sequence[Any] | None
    ) -> Study:
        """Narrow or replace the lists, and add keys of every run.

        Args:
            keys: Keys as YAML values. They win over the study's own, those that it varies or searches too
                (a list: the values to vary); what a setting names is what it is, and stays.
            base: The setting to compare with; None: the study's. With another one, the study gets
                another name, and so a folder of its own.
            chosen: Values for ``datasets``, ``models``, ``settings``, ``protocols`` and ``seeds``; None
                keeps the study's. Settings are named; the base always stays.

        Raises:
            UserError: If a setting does not exist.
        """
        given: dict[str, Any] = {name: list(values) for name, values in chosen.items() if values}
        given["base"] = base or self.base
        if given["base"] != self.base:
            given["name"] = f"{self.name}_against_" + re.sub(r"\W+", "_", given["base"])
        names = [given["base"], *given.pop("settings", self.settings)]
        for name in names:
            if name not in self.settings:
                there = ", ".join(self.settings)
                raise UserError(
                    f"study {self.name}: '{name}' is none of {there}.{nearest(name, self.settings)}"
                )
        kept = {name: self.settings[name] for name in self.settings if name in names}
        given |= {"settings": kept, "optional": [name for name in self.optional if name in kept]}
        given["vary"] = {key: _as_list(keys[key]) if key in keys else own for key, own in self.vary.items()}
        given["keys"] = {**self.keys, **_without(self.vary, keys)}
        for name in ("per_model", "tune"):
            given[name] = {model: _without(keys, own) for model, own in getattr(self, name).items()}
        study = replace(self, **given)
        study.check()
        return study

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, as a file would hold them."""
        return asdict(self)


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
    """A place in the study's table, for one seed, and the run that fills it; runs may fill several."""

    dataset: str
    model: str
    setting: str
    protocol: str
    varied: tuple[tuple[str, Any], ...]
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
        data_path: Folder of datasets, looked into for tables of vectors.
        missing: Settings to leave out.
    """
    settings = {name: keys for name, keys in study.settings.items() if name not in missing}
    return [
        Cell(
            dataset,
            model,
            setting,
            protocol,
            varied,
            _run(study, dataset, model, keys, protocol, varied, seed),
        )
        for dataset in study.datasets
        for protocol in study.protocols
        for model in study.models
        for varied in _variations(study, dataset, data_path)
        for setting, keys in settings.items()
        for seed in study.seeds
    ]


def _variations(study: Study, dataset: str, data_path: Path) -> Iterator[tuple[tuple[str, Any], ...]]:
    values = [
        tables_of(data_path, dataset) if some == _TABLES and key == "llm_embedding" else some
        for key, some in study.vary.items()
    ]
    for combination in product(*values):
        yield tuple(zip(study.vary, combination, strict=True))


def tables_of(data_path: Path, dataset: str) -> list[str]:
    """Return the names of a dataset's tables of vectors.

    Raises:
        UserError: If there are none.
    """
    folders = (data_path / dataset, ATOMIC_DATA / dataset)
    names = sorted({file.stem for folder in folders for file in folder.glob("*.safetensors")})
    if not names:
        there = (data_path / dataset / f"{dataset}.item").is_file()
        verbs = ("encode",) if there else ("prepare", "encode")
        how = ", then ".join(f"recbole-llminit {verb} {dataset} --data-path {data_path}" for verb in verbs)
        raise UserError(f"no table of vectors in {folders[0]}; make one with: {how}")
    return names


def _run(
    study: Study,
    dataset: str,
    model: str,
    setting: Keys,
    protocol: str,
    varied: tuple[tuple[str, Any], ...],
    seed: int,
) -> Run:
    name = setting.get("model") or (PREFIX + model if any(map(_of_vectors, setting)) else model)
    keys = {**study.keys, **study.per_model.get(model, {}), **dict(varied), **setting}
    keys.pop("model", None)
    if name == model:  # a plain model reads no vectors: their keys would only make the same run twice
        keys = {key: value for key, value in keys.items() if not _of_vectors(key)}
    return Run(str(name), dataset, {**keys, "protocol": protocol, "seed": seed})


def _without(names: Mapping[str, Any], keys: Mapping[str, Any]) -> Keys:
    return {key: value for key, value in keys.items() if key not in names}


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) or value == _TABLES else [value]


def _of_vectors(key: str) -> bool:
    return key.startswith("llm_")


def with_best(cell: Cell, best: Mapping[str, Any]) -> Cell:
    """Return the cell, its run under the values that a search found best."""
    return replace(cell, run=replace(cell.run, keys={**cell.run.keys, **best}))
