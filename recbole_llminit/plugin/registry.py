"""Model names: from ``LLMInit<X>`` to a class, and from a class into RecBole.

RecBole finds a model by importing ``recbole.model.<family>.<lower-case name>``. A meta path finder
serves that import for this package's models, so that every entry point of RecBole works unchanged.
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
from pathlib import Path
from typing import Any

from recbole_llminit.dataset.places import PROPS
from recbole_llminit.utils.errors import UserError, nearest

PREFIX = "LLMInit"
_MODELS = "recbole_llminit.model"
_FAMILIES = ("general", "sequential", "knowledge_aware", "context_aware")
# Models that RecBole lacks, with their family; faster twins of its own that only stand beneath LLMInit<X>.
_NEW = {
    "SGCL": "general",
    "MixSGCL": "general",
    "MoRec": "general",
    "MoRecSASRec": "sequential",
    "ALLMRec": "sequential",
    "ALLMRecRanker": "sequential",
}
_TWINS = ("LightGCN", "SGL")
_TREES = ("lightgbm", "xgboost")  # named without importing the libraries they need
# Where RecBole's models take the width of `item_embedding` from, the surest first.
_WIDTH_KEYS = ("embedding_size", "ui_embedding_size", "hidden_size")
_PROTOCOLS = ("masked", "paper", "sequential")


def host_name(model: str) -> str:
    """Return X for ``LLMInit<X>``, and any other name unchanged."""
    return model.removeprefix(PREFIX)


def is_ours(model: str) -> bool:
    """Tell whether `model` is one of this package's models."""
    return model.startswith(PREFIX) or model in _NEW


def model_class(model: str) -> type[Any]:
    """Return the class of any model, plain or initialised.

    Raises:
        UserError: If no such model exists, or if its tables can't be set.
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
    """Tell whether RecBole or this package has a plain model of that name, importing as little as RecBole."""
    if name in (*_NEW, *_TREES):
        return True
    modules = (f"recbole.model.{family}_recommender.{name.lower()}" for family in _FAMILIES)
    found = next((module for module in modules if importlib.util.find_spec(module)), None)
    return found is not None and _class_in(found) == name


@functools.cache
def initialised(host: str) -> type[Any]:
    """Build ``LLMInit<host>``: the host model, started from language-model vectors.

    The class takes over whatever RecBole keys by the host's name: its trainer and its dataset here,
    its property file and its dataloader in `recbole_llminit.plugin.hooks`.
    """
    from recbole_llminit.model.llminit import LLMInit

    base = _twin(host) if host in _TWINS else _plain(host)
    name = PREFIX + host
    body = {"__module__": _MODELS, "__doc__": f"{host}, started from item vectors. See `LLMInit`."}
    for module, suffix in (("recbole.trainer", "Trainer"), ("recbole.data.dataset", "Dataset")):
        namespace = importlib.import_module(module)
        if hasattr(namespace, host + suffix):
            setattr(namespace, name + suffix, getattr(namespace, host + suffix))
    return type(name, (LLMInit, base), body)


def refusal(base: type[Any]) -> str | None:
    """Say why `base` can't be initialised, or return None if it can.

    A model qualifies when its constructor assigns ``self.item_embedding``; that the attribute is an
    embedding table is checked when the model is built. One that reads the vectors itself does not.
    """
    if hasattr(base, "vector_settings"):
        return (
            f"{base.__name__} computes its items from the vectors in every step, so that nothing is left to "
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
    """Map every usable model name, plain and initialised, to its family."""
    plain = dict(_plain_names())
    ready = {
        PREFIX + model: family
        for model, family in plain.items()
        if family != "exlib" and refusal(_plain(model)) is None
    }
    return plain | ready


def width_key(model: str) -> str:
    """Return the config key from which `model`'s host takes the width of ``item_embedding``."""
    import recbole
    import yaml

    file = Path(recbole.__file__).parent / "properties" / "model" / f"{host_name(model)}.yaml"
    keys = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return next((key for key in _WIDTH_KEYS if key in keys), "embedding_size")


def config_files(model: str, dataset: str, protocol: str | None = None) -> list[str]:
    """Return the property files of a run, the weakest first; the user's own come after them.

    Args:
        model: Any model's name, plain or initialised.
        dataset: The dataset's name.
        protocol: ``auto`` (also None), ``masked``, ``paper``, ``sequential``, ``recbole`` (no
            protocol file) or the path of a YAML file.

    Raises:
        UserError: If the model or the protocol does not exist.
    """
    files = [*default_files(model), PROPS / "dataset" / f"{dataset}.yaml"]
    present = [str(file) for file in files if file.is_file()]
    return present + _protocol_files(model, protocol or "auto")


def default_files(model: str) -> list[Path]:
    """Return the files that hold a model's defaults: for all, for its host, for itself."""
    models = PROPS / "model"
    names = dict.fromkeys((host_name(model), model))
    return [PROPS / "overall.yaml", *(models / f"{name}.yaml" for name in names)]


def _protocol_files(model: str, protocol: str) -> list[str]:
    from recbole.utils import ModelType

    if protocol == "auto":
        protocol = "sequential" if model_class(model).type == ModelType.SEQUENTIAL else "masked"
    if protocol == "recbole":
        return []
    file = PROPS / "protocol" / f"{protocol}.yaml" if protocol in _PROTOCOLS else Path(protocol)
    if not file.is_file():
        choices = ("auto", *_PROTOCOLS, "recbole")
        raise UserError(
            f"protocol '{protocol}' is neither one of {', '.join(choices)} nor a YAML file."
            + nearest(protocol, choices)
        )
    return [str(file)]


def _plain_names() -> Iterator[tuple[str, str]]:
    """Yield RecBole's and our own plain models with their family, families in RecBole's order."""
    for family in _FAMILIES:
        package = importlib.import_module(f"recbole.model.{family}_recommender")
        for found in pkgutil.iter_modules(package.__path__):
            if name := _class_in(f"{package.__name__}.{found.name}"):
                yield name, family
        yield from ((name, own) for name, own in _NEW.items() if own == family)
    yield from ((name, "exlib") for name in _TREES)


def _class_in(module: str) -> str | None:
    """Return the name of the model class in one of RecBole's model files."""
    names = vars(importlib.import_module(module)).items()
    stem = module.rpartition(".")[2]
    return next((k for k, v in names if k.lower() == stem and isinstance(v, type)), None)


def _plain(name: str) -> type[Any]:
    return _twin(name) if name in _NEW else _recbole_class(name)


def _twin(name: str) -> type[Any]:
    folder = {"ALLMRecRanker": "allmrec", "MoRecSASRec": "morec"}.get(name, name.lower())
    cls: type[Any] = getattr(importlib.import_module(f"{_MODELS}.{folder}"), name)
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
        """Return a spec if `name` is where RecBole would look for one of our models."""
        match = self._name.fullmatch(name)
        if match is None or self._model(*match.groups()) is None:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=_MODELS)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Let Python make the module."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Put the model's class into the module, under its own name."""
        family, name = self._name.fullmatch(module.__name__).groups()  # type: ignore[union-attr]
        cls = model_class(self._model(family, name) or name)
        setattr(module, cls.__name__, cls)

    @staticmethod
    def _model(family: str, name: str) -> str | None:
        """Return the model that `name` is the lower-case form of, if it is ours and of `family`."""
        new = {model.lower(): model for model in _NEW}
        prefix = PREFIX.lower()
        if name in new:
            return new[name] if family == _NEW[new[name]] else None
        host = name.removeprefix(prefix)
        if host == name:
            return None
        if host in new:
            return PREFIX + new[host] if family == _NEW[new[host]] else None
        if importlib.util.find_spec(f"recbole.model.{family}_recommender.{host}") is None:
            return None
        cls = _class_in(f"recbole.model.{family}_recommender.{host}")
        return PREFIX + cls if cls else None


def install() -> None:
    """Register this package's models with RecBole."""
    sys.meta_path.append(_Finder())
