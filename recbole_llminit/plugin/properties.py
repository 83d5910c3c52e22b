"""Choose the property files (YAML) that a run reads, and their order."""

from __future__ import annotations

from pathlib import Path

from recbole_llminit.dataset.places import PROPS
from recbole_llminit.model.specs import host_name
from recbole_llminit.plugin.registry import model_class, spec_of
from recbole_llminit.utils.errors import UserError, nearest

_PROTOCOLS = ("masked", "paper", "sequential")


def config_files(model: str, dataset: str, protocol: str | None = None) -> list[str]:
    """Return a run's property files in order: a later file overrides earlier ones, the user's come last.

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
    """Return the files with a model's defaults: for all models, for its host model X, for ``LLMInit<X>``."""
    own = PROPS / "model" / f"{model}.yaml"
    return list(dict.fromkeys((PROPS / "overall.yaml", spec_of(host_name(model)).defaults, own)))


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
