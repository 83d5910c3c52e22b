"""The places where RecBole meets our models and keys: defaults, dataloader, evaluation batch, result file.

Each wrapper passes plain RecBole runs through untouched; it acts for this package's models, or
where a key of ours is set.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from logging import getLogger
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import wrapt

from recbole_llminit.dataset.card import read_card
from recbole_llminit.dataset.places import ATOMIC_DATA
from recbole_llminit.plugin import registry
from recbole_llminit.plugin.wrapping import wrap
from recbole_llminit.utils.errors import UserError


def _model_defaults(
    original: Callable[..., None], config: Any, model: str, cls: type[Any], dataset: str
) -> None:
    """Load ``LLMInit<X>``'s defaults as X's, including RecBole's special cases for X, then ours."""
    from recbole.utils import ModelType

    original(config, registry.host_name(model), cls, dataset)
    defaults = config.internal_config_dict
    if registry.is_ours(model):
        for file in registry.default_files(model):
            if file.is_file():
                config._update_internal_config_dict(str(file))
    columns, time = defaults["load_col"]["inter"], defaults["TIME_FIELD"]
    split = config.external_config_dict.get("eval_args") or {}
    in_time = cls.type == ModelType.SEQUENTIAL or split.get("order") == "TO"
    if _is_in_house(config, model) and in_time and time not in columns:
        columns.append(time)  # what is in order of time; RecBole's defaults leave it out


def _data_path(original: Callable[..., None], config: Any) -> None:
    """Find a dataset that ships with this package from any folder, as RecBole finds its ml-100k."""
    original(config)
    final, name = config.final_config_dict, config.dataset
    here, shipped = (folder / f"{name}.inter" for folder in (Path(final["data_path"]), ATOMIC_DATA / name))
    if _is_in_house(config, config.model) and shipped.is_file() and not here.is_file():
        final["data_path"] = str(shipped.parent)


def _negatives(original: Callable[..., dict[str, Any]], config: Any) -> dict[str, Any]:
    """Draw no negatives for a model that has no use for them.

    These are SGCL and MixSGCL, whatever the user says, and sequential models with a cross-entropy
    loss, for which RecBole otherwise stops and asks the user to say so.
    """
    from recbole.utils import ModelType

    final = original(config)
    by_loss = (
        _is_in_house(config, config.model)
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


def _is_in_house(config: Any, model: str) -> bool:
    """Tell whether a run is ours: by its model, or because it reads our property files."""
    return registry.is_ours(model) or "protocol" in config.external_config_dict


def _dataloader(original: Callable[..., Any], config: Any, phase: str) -> Any:
    """Give ``LLMInit<X>`` the dataloader that RecBole keeps for X, and our runs our full-ranking loader."""
    host = registry.host_name(config["model"])
    found = original(ChainMap({"model": host}, config.final_config_dict), phase)
    if found.__name__ == "FullSortEvalDataLoader" and _is_in_house(config, config["model"]):
        from recbole_llminit.evaluation.full_ranking import FullRankingLoader

        return FullRankingLoader
    return found


class _Pandas(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """pandas, reading files by its compiled parser instead of the one in Python that RecBole asks for."""

    def read_csv(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("engine") == "python" and len(kwargs.get("delimiter") or "") == 1:
            kwargs |= {"engine": "c", "float_precision": "round_trip"}  # numbers as Python reads them
        return self.__wrapped__.read_csv(*args, **kwargs)


def _load(original: Callable[..., Any], dataset: Any, *args: Any) -> Any:
    """Read the atomic files of our runs by pandas' compiled parser."""
    if not _is_in_house(dataset.config, dataset.config["model"]):
        return original(dataset, *args)
    import recbole.data.dataset.dataset as host

    theirs, host.pd = host.pd, _Pandas(host.pd)
    try:
        return original(dataset, *args)
    finally:
        host.pd = theirs


# Keys of ours that decide what a saved dataloader holds; RecBole compares its own.
_DECIDE_LOADERS = (
    *("cold_items", "drop_history", "candidates_file"),
    *("allmrec_positions", "allmrec_train_users", "allmrec_eval_users"),
)


def _saved_loaders(original: Callable[..., Any], config: Any) -> Any:
    """Take saved dataloaders for what they are: those of other values of our keys are made anew."""
    found = original(config)
    if found is None:
        return None
    made_by = found[0]._dataset.config
    same = all((config[key] or None) == (made_by[key] or None) for key in _DECIDE_LOADERS)
    return found if same else None


def _samplers(original: Callable[..., Any], config: Any, dataset: Any, built: Any) -> Any:
    """Let our runs draw negatives by our samplers, which draw what RecBole's draw, or take fixed ones."""
    if not _is_in_house(config, config["model"]):
        return original(config, dataset, built)
    import recbole.data.utils as host

    from recbole_llminit.sampling import cold_start
    from recbole_llminit.sampling.pairs import PairSampler, RepeatablePairSampler

    theirs = host.Sampler, host.RepeatableSampler
    host.Sampler, host.RepeatableSampler = PairSampler, RepeatablePairSampler
    try:
        samplers = original(config, dataset, built)
    finally:
        host.Sampler, host.RepeatableSampler = theirs
    if cold_start.asked(config):
        cold_start.instruct(samplers, built[0])
    if config["candidates_file"]:
        from recbole_llminit.sampling.candidates import fixed_samplers

        samplers = fixed_samplers(config, dataset, built, samplers)
    return samplers


def _split(original: Callable[..., Any], dataset: Any) -> Any:
    """Take from the training part of our runs what ``cold_items`` and ``drop_history`` ask for."""
    built = original(dataset)
    if _is_in_house(dataset.config, dataset.config["model"]):
        from recbole_llminit.sampling import cold_start

        if cold_start.asked(dataset.config):
            cold_start.check(dataset.config)
            cold_start.remove(built[0], dataset.config)
    return built


def _trainer(original: Callable[..., None], trainer: Any, config: Any, model: Any) -> None:
    """Collect the results of our runs in linear time."""
    original(trainer, config, model)
    if _is_in_house(config, config["model"]):
        from recbole_llminit.evaluation.full_ranking import ListCollector

        trainer.eval_collector = ListCollector(config)


def _optimizer(original: Callable[..., Any], trainer: Any, **kwargs: Any) -> Any:
    """Let our models' Adam update a table in one pass over it instead of a dozen.

    The numbers are the same but for rounding. torch older than 2.4 has no such kernel on a CPU.
    """
    import torch

    built = original(trainer, **kwargs)
    if type(built) not in (torch.optim.Adam, torch.optim.AdamW) or not registry.is_ours(
        trainer.config["model"]
    ):
        return built
    (group,) = built.param_groups
    try:
        return type(built)(group["params"], lr=group["lr"], weight_decay=group["weight_decay"], fused=True)
    except RuntimeError:
        return built


def _evaluation_batch(original: Callable[..., None], loader: Any) -> None:
    """Size the batches of a full ranking in users, unless the user set ``eval_batch_size``."""
    original(loader)
    config = loader.config
    if config["users_per_batch"] and "eval_batch_size" not in config.external_config_dict:
        from recbole_llminit.evaluation.batching import users_per_batch

        n_items = loader._dataset.item_num
        users = users_per_batch(config, n_items)
        if loader.is_sequential and config["users_per_batch"] == "auto":
            users = min(users, config["eval_batch_size"])  # which here counts users already
        loader.step = users
        loader.set_batch_size(users if loader.is_sequential else users * n_items)


def _dataset(original: Callable[..., Any], config: Any) -> Any:
    """Say what data these are, and refuse a cut-off that RecBole would crash on after the first epoch."""
    dataset = original(config)
    if _is_in_house(config, config["model"]):
        dataset.config = config  # a saved one would be split by the keys of the run that saved it
    if card := read_card(Path(config["data_path"])):
        getLogger().info(f"{config['dataset']}: {card['version']}")
    n_items = dataset.item_num - 1
    if "protocol" in config and (most := max(config["topk"])) > n_items:
        raise UserError(f"topk {most} is larger than the catalogue of {n_items} items; lower topk")
    return dataset


def _fit(original: Callable[..., Any], trainer: Any, *args: Any, **kwargs: Any) -> Any:
    """Go on from the checkpoint that ``resume`` names; leave cold items untrained.

    RecBole marks a checkpoint that has nothing left to train as one of no epoch, and the next time trains
    it from the first: a finished one is left as it is.
    """
    if args and hasattr(train := getattr(args[0], "_dataset", None), "cold_items"):
        from recbole_llminit.sampling.cold_start import keep_untrained

        keep_untrained(trainer.model, train)
    file = trainer.config["resume"]
    if file and trainer.start_epoch == 0:
        try:
            trainer.resume_checkpoint(file)
        except (RuntimeError, KeyError, UnpicklingError, EOFError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"resume: {file} is no checkpoint of this model and data: {reason}") from error
        if trainer.start_epoch >= trainer.epochs:
            kwargs["saved"] = False
    return original(trainer, *args, **kwargs)


def _run(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    from recbole_llminit.run.record import recorded

    return recorded(original, *args, **kwargs)


def install() -> None:
    """Wrap each place as soon as its module is imported."""
    loaders = "recbole.data.dataloader.general_dataloader"
    wrap("recbole.config.configurator", "Config._load_internal_config_dict", _model_defaults)
    wrap("recbole.config.configurator", "Config._get_final_config_dict", _negatives)
    wrap("recbole.config.configurator", "Config._set_default_parameters", _data_path)
    wrap("recbole.data.utils", "get_dataloader", _dataloader)
    wrap("recbole.data.dataset.dataset", "Dataset._load_feat", _load)
    wrap("recbole.data.utils", "load_split_dataloaders", _saved_loaders)
    wrap("recbole.data.utils", "create_samplers", _samplers)
    wrap("recbole.data.dataset.dataset", "Dataset.build", _split)
    wrap("recbole.trainer.trainer", "Trainer.__init__", _trainer)
    wrap("recbole.trainer.trainer", "Trainer._build_optimizer", _optimizer)
    wrap(loaders, "FullSortEvalDataLoader._init_batch_size_and_step", _evaluation_batch)
    wrap("recbole.trainer.trainer", "Trainer.fit", _fit)
    wrap("recbole.trainer.trainer", "NCLTrainer.fit", _fit)  # it does not call Trainer's
    wrap("recbole.quick_start.quick_start", "create_dataset", _dataset)
    wrap("recbole.quick_start.quick_start", "run_recbole", _run)
