"""A study: one YAML file that says which runs are compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic.dataclasses import dataclass

from recbole_llminit.dataset.places import PROPS
from recbole_llminit.utils.errors import UserError, nearest
from recbole_llminit.utils.schema import STRICT, checked
from recbole_llminit.utils.yaml import read_mapping

Keys = dict[str, Any]
PRESENT = "present"  # `vary: {llm_embedding: present}` stands for every table of vectors of the dataset
_STUDIES = PROPS / "experiment"
_FOLDERS = ("runs", "searches", "work", "logs")  # they lie beside the folders of the studies


def _named_settings(settings: Any) -> Any:
    """Take a number for a setting's name, and nothing for a setting without keys."""
    if not isinstance(settings, dict):
        return settings
    return {str(name): keys or {} for name, keys in settings.items()}


def _seed(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(value)
    except ValidationError:
        raise UserError(f"seed '{value}' is not a whole number") from None


_Item = TypeVar("_Item")
_Filled = Annotated[list[_Item], Field(min_length=1)]
_Settings = Annotated[dict[str, Keys], Field(min_length=1), BeforeValidator(_named_settings)]


@dataclass(frozen=True, config=STRICT)
class Study:
    """What a study's file holds; the fields without a default are required."""

    name: str  # of the study and of its folder; the file's, where it has none
    datasets: _Filled[str]  # folders in the data path
    models: _Filled[str]
    settings: _Settings  # name -> keys; with an `llm_*` key LLMInit<model> runs, with `model` another one
    protocols: _Filled[str]
    seeds: _Filled[Annotated[int, WrapValidator(_seed)]]
    base: str  # the setting that the others are compared with
    about: str = ""  # what the study asks
    metrics: _Filled[str] = field(default_factory=lambda: ["Recall@10", "NDCG@10"])
    keys: Keys = field(default_factory=dict)  # of every run
    per_model: dict[str, Keys] = field(default_factory=dict)  # model -> keys
    vary: Keys = field(default_factory=dict)  # key -> values; every setting runs with each of them
    tune: dict[str, Keys] = field(default_factory=dict)  # model -> key -> values to search on validation
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
        return cls.of(read_mapping(file), file)

    @classmethod
    def of(cls, fields: Mapping[str, Any], file: Path) -> Study:
        """Make a study of what its file holds.

        Raises:
            UserError: If a field is missing, unknown or of another type, or names what is not there.
        """
        return checked(cls, {"name": file.stem, **fields}, f"{file}: ")

    def __post_init__(self) -> None:
        """Refuse names that nothing answers to, and keys that the study's own lists decide.

        Raises:
            UserError: With the name or key.
        """
        if self.name in _FOLDERS or Path(self.name).name != self.name:
            raise UserError(f"a study can't be called '{self.name}': its results go to a folder of that name")
        for name in (self.base, *self.optional):
            if name not in self.settings:
                there = ", ".join(self.settings)
                raise UserError(f"'{name}' is none of its settings ({there}){nearest(name, self.settings)}")
        of_all = (self.keys, self.vary, *self.per_model.values())
        if any("model" in keys for keys in of_all):
            raise UserError("'model' can only stand in a setting; list backbones in 'models'")
        for keys in (*of_all, *self.settings.values()):
            for key in sorted({"dataset", "protocol", "seed"}.intersection(keys)):
                raise UserError(f"'{key}' is no key of a setting; list it in '{key}s'")
        for model, space in self.tune.items():
            for key, values in space.items():
                if not isinstance(values, list) or not values:
                    raise UserError(f"tune: {model}'s {key} '{values}' must be a list of values")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, as a file would hold them."""
        return asdict(self)

    @property
    def group_metric(self) -> str:
        """The last metric that is of all items: the one to show by group of users and items."""
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
                keeps the study's. Settings are named; the baseline always stays.

        Raises:
            UserError: If a setting does not exist.
        """
        base = base or self.base
        given = {name: list(values) for name, values in chosen.items() if values}
        names = [base, *given.pop("settings", self.settings)]
        for name in names:
            if name not in self.settings:
                there = ", ".join(self.settings)
                raise UserError(
                    f"study {self.name}: '{name}' is none of {there}.{nearest(name, self.settings)}"
                )
        other = {} if base == self.base else {"name": f"{self.name}_against_" + re.sub(r"\W+", "_", base)}
        fields = {
            **self.as_dict(),
            **other,
            **given,
            "base": base,
            "settings": {name: own for name, own in self.settings.items() if name in names},
            "optional": [name for name in self.optional if name in names],
            "vary": {key: _as_list(keys[key]) if key in keys else own for key, own in self.vary.items()},
            "keys": {**self.keys, **_without(self.vary, keys)},
            "per_model": {model: _without(keys, own) for model, own in self.per_model.items()},
            "tune": {model: _without(keys, own) for model, own in self.tune.items()},
        }
        return checked(Study, fields, f"study {self.name}: ")


def _without(names: Mapping[str, Any], keys: Mapping[str, Any]) -> Keys:
    return {key: value for key, value in keys.items() if key not in names}


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) or value == PRESENT else [value]
