"""Wrappers around RecBole's ``Config``: the defaults of this package's models, data path, negatives.

The host model of ``LLMInit<X>`` is the RecBole model X beneath it.
"""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole_llminit.dataset.places import find_file
from recbole_llminit.model.specs import host_name
from recbole_llminit.plugin.properties import default_files
from recbole_llminit.plugin.registry import is_ours, spec_of
from recbole_llminit.plugin.wrapping import wrap


def is_plugin_run(config: Any, model: str | None = None) -> bool:
    """Tell whether a run has a model of this package or reads this package's property files.

    Every wrapper leaves other runs, the plain RecBole runs, as they are. Reads ``model`` and ``protocol``,
    which ``props/overall.yaml`` and each protocol file set.
    """
    return is_ours(model or config["model"]) or "protocol" in config.external_config_dict


def _model_defaults(
    original: Callable[..., None], config: Any, model: str, cls: type[Any], dataset: str
) -> None:
    """Load X's defaults for ``LLMInit<X>``, with RecBole's special cases for X, then this package's defaults.

    Reads ``load_col``, ``TIME_FIELD``, ``eval_args``.
    """
    from recbole.utils import ModelType

    original(config, host_name(model), cls, dataset)
    defaults = config.internal_config_dict
    if is_ours(model):
        for file in default_files(model):
            if file.is_file():
                config._update_internal_config_dict(str(file))
    columns, time = defaults["load_col"]["inter"], defaults["TIME_FIELD"]
    split = config.external_config_dict.get("eval_args") or {}
    in_time = cls.type == ModelType.SEQUENTIAL or split.get("order") == "TO"
    if is_plugin_run(config, model) and in_time and time not in columns:
        columns.append(time)  # a split in order of time needs the column that RecBole's defaults leave out


def _data_path(original: Callable[..., None], config: Any) -> None:
    """Find a dataset that ships with this package from any folder, as RecBole finds its ml-100k.

    Reads and sets ``data_path``.
    """
    original(config)
    final, name = config.final_config_dict, config.dataset
    there = Path(final["data_path"])  # the dataset's folder: RecBole has already added its name
    if (there / f"{name}.inter").is_file() or not is_plugin_run(config, config.model):
        return
    if shipped := find_file(name, there.parent, f"{name}.inter"):
        final["data_path"] = str(shipped.parent)


def _negatives(original: Callable[..., dict[str, Any]], config: Any) -> dict[str, Any]:
    """Set ``train_neg_sample_args`` to None for a model that has no use for negatives.

    These are the models whose spec says so, even if the user set the key, and sequential models with a
    cross-entropy loss, for which RecBole otherwise stops and asks the user to set the key.

    Reads ``MODEL_TYPE``, ``loss_type``, ``train_neg_sample_args``.
    """
    from recbole.utils import ModelType

    final = original(config)
    by_loss = (
        is_plugin_run(config, config.model)
        and final["MODEL_TYPE"] == ModelType.SEQUENTIAL
        and not hasattr(config.model_class, "input_type")
        and final.get("loss_type") == "CE"
        and "train_neg_sample_args" not in config.external_config_dict
    )
    if by_loss or not spec_of(config.model).draws_negatives:
        if config.external_config_dict.get("train_neg_sample_args") is not None:
            getLogger().warning(f"train_neg_sample_args is ignored: {config.model} draws no negatives")
        final["train_neg_sample_args"] = None
    return final


def install() -> None:
    """Wrap the methods of ``Config`` as soon as their module is imported."""
    wrap("recbole.config.configurator", "Config._load_internal_config_dict", _model_defaults)
    wrap("recbole.config.configurator", "Config._get_final_config_dict", _negatives)
    wrap("recbole.config.configurator", "Config._set_default_parameters", _data_path)
