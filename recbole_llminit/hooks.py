"""The places where RecBole meets our models and keys: defaults, dataloader, evaluation batch, result file.

Each wrapper passes plain RecBole runs through untouched; it acts for this package's models, or
where a key of ours is set.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from logging import getLogger
from typing import Any

import wrapt

from recbole_llminit import registry
from recbole_llminit.errors import UserError


def _model_defaults(wrapped: Callable[..., None], config: Any, args: Any, kwargs: Any) -> None:
    """Load ``LLMInit<X>``'s defaults as X's, including RecBole's special cases for X, then ours."""

    def load(model: str, model_class: type[Any], dataset: str) -> None:
        wrapped(registry.host_name(model), model_class, dataset)
        if registry.is_ours(model):
            for file in registry.default_files(model):
                if file.is_file():
                    config._update_internal_config_dict(str(file))

    load(*args, **kwargs)


def _negatives(wrapped: Callable[[], dict[str, Any]], config: Any, *_: Any) -> dict[str, Any]:
    """Draw no negatives for a model that has no use for them.

    These are SGCL and MixSGCL, whatever the user says, and sequential models with a cross-entropy
    loss, for which RecBole otherwise stops and asks the user to say so.
    """
    from recbole.utils import ModelType

    final = wrapped()
    in_house = registry.is_ours(config.model) or "protocol" in final
    by_loss = (
        in_house
        and final["MODEL_TYPE"] == ModelType.SEQUENTIAL
        and not hasattr(config.model_class, "input_type")
        and final.get("loss_type") == "CE"
        and "train_neg_sample_args" not in config.external_config_dict
    )
    if by_loss or not getattr(config.model_class, "draws_negatives", True):
        if config.external_config_dict.get("train_neg_sample_args") is not None:
            getLogger().warning(f"train_neg_sample_args is ignored: {config.model} draws no negatives")
        final["train_neg_sample_args"] = None
    return final


def _dataloader(wrapped: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
    """Give ``LLMInit<X>`` the dataloader that RecBole keeps for X (ENMF's, the auto-encoders')."""

    def get(config: Any, phase: str) -> Any:
        host = registry.host_name(config["model"])
        if host == config["model"]:
            return wrapped(config, phase)
        return wrapped(ChainMap({"model": host}, config.final_config_dict), phase)

    return get(*args, **kwargs)


def _evaluation_batch(wrapped: Callable[[], None], loader: Any, *_: Any) -> None:
    """Size the batches of a full ranking in users, unless the user set ``eval_batch_size``."""
    wrapped()
    config = loader.config
    if config["users_per_batch"] and "eval_batch_size" not in config.external_config_dict:
        from recbole_llminit.evaluation.batching import users_per_batch

        loader.step = users_per_batch(config, n_items=loader._dataset.item_num)
        per_step = 1 if loader.is_sequential else loader._dataset.item_num
        loader.set_batch_size(loader.step * per_step)


def _dataset(wrapped: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
    """Refuse a cut-off that RecBole would crash on after the first epoch."""
    dataset = wrapped(*args, **kwargs)
    config, n_items = dataset.config, dataset.item_num - 1
    if "protocol" in config and (most := max(config["topk"])) > n_items:
        raise UserError(f"topk {most} is larger than the catalogue of {n_items} items; lower topk")
    return dataset


def _fit(wrapped: Callable[..., Any], trainer: Any, args: Any, kwargs: Any) -> Any:
    """Go on from the checkpoint that ``resume`` names."""
    if trainer.config["resume"]:
        trainer.resume_checkpoint(trainer.config["resume"])
    return wrapped(*args, **kwargs)


def _run(wrapped: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
    from recbole_llminit.report.record import recorded

    return recorded(wrapped, *args, **kwargs)


def install() -> None:
    """Wrap each place as soon as its module is imported."""
    for module, name, wrapper in (
        ("recbole.config.configurator", "Config._load_internal_config_dict", _model_defaults),
        ("recbole.config.configurator", "Config._get_final_config_dict", _negatives),
        ("recbole.data.utils", "get_dataloader", _dataloader),
        (
            "recbole.data.dataloader.general_dataloader",
            "FullSortEvalDataLoader._init_batch_size_and_step",
            _evaluation_batch,
        ),
        ("recbole.trainer.trainer", "Trainer.fit", _fit),
        ("recbole.quick_start.quick_start", "create_dataset", _dataset),
        ("recbole.quick_start.quick_start", "run_recbole", _run),
    ):
        _when_imported(module, name, wrapper)


def _when_imported(module: str, name: str, wrapper: Callable[..., Any]) -> None:
    wrapt.register_post_import_hook(
        lambda imported: wrapt.wrap_function_wrapper(imported, name, wrapper), module
    )
