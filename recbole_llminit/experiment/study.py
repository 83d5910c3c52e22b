"""Define the schema of a study: one YAML file that says which runs are compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic.dataclasses import dataclass

from recbole_llminit.dataset.places import PROPS, checked_name
from recbole_llminit.plugin.literals import literal
from recbole_llminit.utils.errors import UserError, nearest
from recbole_llminit.utils.schema import STRICT, checked
from recbole_llminit.utils.yaml import read_mapping

Keys = dict[str, Any]
PRESENT = "present"  # `vary: {llm_embedding: present}` varies all tables of vectors of a dataset
_STUDIES = PROPS / "experiment"
_FOLDERS = ("runs", "searches", "work", "logs")  # these lie beside the studies' folders


def _named_settings(settings: Any) -> Any:
    """Turn a setting's name that is a number into text, and a setting without keys into an empty dict."""
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
    """The content of a study's file; fields without a default are required in the file, except `name`."""

    name: str  # of the study and of its folder; by default that of the file
    datasets: _Filled[str]  # names of folders in the data path
    models: _Filled[str]
    settings: _Settings  # name -> keys; an `llm_*` key runs LLMInit<model>, the key `model` another model
    protocols: _Filled[str]
    seeds: _Filled[Annotated[int, WrapValidator(_seed)]]
    base: str  # the baseline: the setting that the others are compared with
    about: str = ""  # the question that the study asks
    metrics: _Filled[str] = field(default_factory=lambda: ["Recall@10", "NDCG@10"])
    keys: Keys = field(default_factory=dict)  # config keys of every run
    per_model: dict[str, Keys] = field(default_factory=dict)  # model -> config keys of its runs
    vary: Keys = field(default_factory=dict)  # key -> list of values; every setting runs with each
    tune: dict[str, Keys] = field(default_factory=dict)  # model -> key -> values to search on validation
    optional: list[str] = field(default_factory=list)  # settings that are left out if their model is missing

    @classmethod
    def read(cls, name: str) -> Study:
        """Read a shipped study by its name, or any study by the path of its YAML file.

        Raises:
            UserError: If there is no such study, or if its file is malformed.
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
        """Make a study from the fields of its file.

        Raises:
            UserError: If a field is missing, unknown or of the wrong type, or names a setting that does not
                exist.
        """
        return checked(cls, {"name": file.stem, **fields}, f"{file}: ")

    def __post_init__(self) -> None:
        """Check the name, the settings that other fields name, and the keys.

        Raises:
            UserError: If the study's name is reserved, a name can't be a folder's, a setting does not exist,
                a key belongs in one of the study's lists (such as ``seeds``), or a key of `tune` has no
                list of values.
        """
        if checked_name(self.name, "study") in _FOLDERS:
            raise UserError(f"a study can't be called '{self.name}': its results go to a folder of that name")
        for dataset in self.datasets:
            checked_name(dataset, "dataset")
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
            _check_space(model, space)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a YAML file would hold them."""
        return asdict(self)

    @property
    def group_metric(self) -> str:
        """The metric that is shown by group of users and items: the last one that covers all items."""
        return next((name for name in reversed(self.metrics) if " " not in name), "NDCG@10")

    def selected(
        self, keys: Mapping[str, Any], base: str | None = None, **chosen: Sequence[Any] | None
    ) -> Study:
        """Return the study with other lists, and with keys added to every run.

        Args:
            keys: Config keys with YAML values. They win over the study's keys, including those that it
                varies (a list gives other values to vary) or searches, but not over the keys of a setting,
                which define the setting.
            base: The setting that becomes the baseline; None keeps the study's. With another baseline the
                study gets another name, and therefore another folder.
            chosen: Values for ``datasets``, ``models``, ``settings``, ``protocols`` and ``seeds``; None
                keeps the study's. Settings are given by name; the baseline always stays.

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


def _check_space(model: str, space: Keys) -> None:
    """Check what a model's search is carried out on: each key is a word, its values are Python literals.

    Raises:
        UserError: If a key or a value is of another form.
    """
    for key, values in space.items():
        if not re.fullmatch(r"\w+", key):
            raise UserError(f"tune: {model}'s key {key!r} must be a word of letters, digits and underscores")
        if not isinstance(values, list) or not values:
            raise UserError(f"tune: {model}'s {key} '{values}' must be a list of values")
        try:
            literal(repr(values))
        except SyntaxError:
            expected = "finite numbers, true, false, null, texts or lists of these"
            raise UserError(f"tune: {model}'s {key} '{values}' must hold {expected}") from None


def _without(names: Mapping[str, Any], keys: Mapping[str, Any]) -> Keys:
    return {key: value for key, value in keys.items() if key not in names}


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) or value == PRESENT else [value]
