"""Turn model names, ``LLMInit<X>`` among them, into classes, and let RecBole find these classes.

RecBole finds a model by importing ``recbole.model.<family>_recommender.<lower-case name>``. A meta path
finder serves that import for this package's models, so that every entry point of RecBole works unchanged.
The host model of ``LLMInit<X>`` is the model X beneath it.
"""

from __future__ import annotations

import dis
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import pkgutil
import re
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from recbole_llminit.model.specs import PREFIX, SPECS, ModelSpec, host_name
from recbole_llminit.utils.errors import UserError, nearest

_MODELS = "recbole_llminit.model"
_FAMILIES = ("general", "sequential", "knowledge_aware", "context_aware")
_TREES = ("lightgbm", "xgboost")  # listed without importing the libraries that they need
_START = "recbole_llminit.initialize.settings:Settings.from_config"
_specs = {spec.name: spec for spec in SPECS}


def register(spec: ModelSpec) -> None:
    """Add a model to those that RecBole finds; a model of the same name is replaced."""
    _specs[spec.name] = spec
    model_names.cache_clear()


def specs() -> tuple[ModelSpec, ...]:
    """Return the specs of all models of this package."""
    return tuple(_specs.values())


def spec_of(model: str) -> ModelSpec:
    """Return the spec of any model; the spec of a plain RecBole model holds nothing but its name.

    ``LLMInit<X>`` has the spec of X, reads item vectors, and checks the settings of the initialisation too.
    """
    spec = _specs.get(host_name(model)) or ModelSpec(host_name(model), family="")
    if model == spec.name:
        return ModelSpec(model, spec.family) if spec.accelerates else spec
    return replace(spec, name=model, settings=(*spec.settings, _START), reads_vectors=True)


def is_ours(model: str) -> bool:
    """Tell whether `model` is one of this package's models."""
    return model.startswith(PREFIX) or model in _new()


def _new() -> dict[str, ModelSpec]:
    """Return the specs of this package's models that RecBole does not have."""
    return {name: spec for name, spec in _specs.items() if not spec.accelerates}


def model_class(model: str) -> type[Any]:
    """Return the class of any model, plain or initialised.

    Raises:
        UserError: If no such model exists, or if its tables can't be initialised from vectors.
    """
    host = host_name(model)
    if not _exists(host):
        raise UserError(
            f"unknown model '{model}'.{nearest(model, model_names())} --list-models prints them all"
        )
    if model == host:
        return _plain(model)
    if reason := refusal(_plain(host)):
        raise UserError(f"{model}: {reason}")
    return initialised(host)


def _exists(name: str) -> bool:
    """Tell whether RecBole or this package has a plain model of that name, importing its module alone."""
    if name in (*_new(), *_TREES):
        return True
    modules = (f"recbole.model.{family}_recommender.{name.lower()}" for family in _FAMILIES)
    found = next((module for module in modules if importlib.util.find_spec(module)), None)
    return found is not None and _class_in(found) == name


@functools.cache
def initialised(host: str) -> type[Any]:
    """Build ``LLMInit<host>``: the host model, started from language-model vectors.

    The class inherits what RecBole looks up by the host's name: the trainer and dataset are set here, the
    property file and data loader by the wrappers in `plugin.config` and `plugin.data`.
    """
    from recbole_llminit.model.llminit import LLMInit

    spec = _specs.get(host)
    base = _class_of(spec) if spec else _recbole_class(host)
    name = PREFIX + host
    body = {"__module__": _MODELS, "__doc__": f"{host}, started from item vectors. See `LLMInit`."}
    for module, suffix in (("recbole.trainer", "Trainer"), ("recbole.data.dataset", "Dataset")):
        namespace = importlib.import_module(module)
        if hasattr(namespace, host + suffix):
            setattr(namespace, name + suffix, getattr(namespace, host + suffix))
    return type(name, (LLMInit, base), body)


def refusal(base: type[Any]) -> str | None:
    """Return the reason why `base` can't be initialised from vectors, or None if it can.

    A model can be initialised if its constructor assigns ``self.item_embedding``, unless the model reads
    the vectors itself. That the attribute is an embedding table is checked when the model is built.
    """
    if spec_of(base.__name__).reads_vectors:
        return (
            f"{base.__name__} computes its items from the vectors, so that nothing is left to "
            f"start from them; run {base.__name__} itself"
        )
    assigned = {
        instruction.argval
        for cls in base.__mro__
        if isinstance(init := vars(cls).get("__init__"), types.FunctionType)
        for instruction in dis.get_instructions(init)
        if instruction.opname == "STORE_ATTR"
    }
    if "item_embedding" in assigned:
        return None
    tables = sorted(name for name in assigned if "emb" in name and "size" not in name)
    return (
        f"{base.__name__} has no table `item_embedding` to initialise"
        + (f" (it has {', '.join(tables)})" if tables else "")
        + "; --list-models prints the models that have one"
    )


@functools.cache
def model_names() -> dict[str, str]:
    """Return a mapping from every usable model name, plain and initialised, to its family."""
    plain = dict(_plain_names())
    ready = {
        PREFIX + model: family
        for model, family in plain.items()
        if family != "exlib" and refusal(_plain(model)) is None
    }
    return plain | ready


def _plain_names() -> Iterator[tuple[str, str]]:
    """Yield RecBole's and this package's plain models with their family, in RecBole's order of families."""
    for family in _FAMILIES:
        package = importlib.import_module(f"recbole.model.{family}_recommender")
        for found in pkgutil.iter_modules(package.__path__):
            if name := _class_in(f"{package.__name__}.{found.name}"):
                yield name, family
        yield from ((name, family) for name, spec in _new().items() if spec.family == family)
    yield from ((name, "exlib") for name in _TREES)


def _class_in(module: str) -> str | None:
    """Return the name of the model class in one of RecBole's model files."""
    names = vars(importlib.import_module(module)).items()
    stem = module.rpartition(".")[2]
    return next((k for k, v in names if k.lower() == stem and isinstance(v, type)), None)


def _plain(name: str) -> type[Any]:
    new = _new()
    return _class_of(new[name]) if name in new else _recbole_class(name)


def _class_of(spec: ModelSpec) -> type[Any]:
    """Import a model's class; register its adapter, and put its dataset class where RecBole looks for it."""
    cls: type[Any] = pkgutil.resolve_name(spec.dotted_class)
    if spec.adapter:
        from recbole_llminit.pretrained.adapters import ADAPTERS

        ADAPTERS[spec.name] = pkgutil.resolve_name(spec.adapter)
    if spec.dataset:
        datasets = importlib.import_module("recbole.data.dataset")
        setattr(datasets, f"{spec.name}Dataset", pkgutil.resolve_name(spec.dataset))
    return cls


def _recbole_class(name: str) -> type[Any]:
    from recbole.utils import get_model

    cls: type[Any] = get_model(name)
    return cls


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serve ``recbole.model.<family>_recommender.<name>`` for the models of this package."""

    _name = re.compile(r"recbole\.model\.(\w+)_recommender\.(\w+)")

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec if `name` is the module where RecBole looks for a model of this package."""
        match = self._name.fullmatch(name)
        if match is None or self._model(*match.groups()) is None:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=_MODELS)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Return None, so that Python makes the module."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Put the model's class into the module under the class's name."""
        family, name = self._name.fullmatch(module.__name__).groups()  # type: ignore[union-attr]
        cls = model_class(self._model(family, name) or name)
        setattr(module, cls.__name__, cls)

    @staticmethod
    def _model(family: str, name: str) -> str | None:
        """Return the model of this package and of `family` whose lower-case name is `name`, or None."""
        new = {model.lower(): model for model in _new()}
        host = name.removeprefix(PREFIX.lower())
        prefix = "" if host == name else PREFIX
        if host in new:
            return prefix + new[host] if _specs[new[host]].family == family else None
        module = f"recbole.model.{family}_recommender.{host}"
        if not prefix or importlib.util.find_spec(module) is None:
            return None
        cls = _class_in(module)
        return prefix + cls if cls else None


def install() -> None:
    """Register this package's models with RecBole."""
    sys.meta_path.append(_Finder())
