"""Wrappers around RecBole's data modules: reading, splitting, sampling, and loading for a full ranking.

They act in runs of this package (`is_plugin_run`) and leave plain RecBole runs as they are.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from logging import getLogger
from pathlib import Path
from typing import Any

import wrapt

from recbole_llminit.model.specs import host_name
from recbole_llminit.plugin.config import is_plugin_run
from recbole_llminit.plugin.registry import is_ours, model_class, spec_of
from recbole_llminit.plugin.wrapping import wrap
from recbole_llminit.utils.errors import UserError


def _dataset_class(original: Callable[..., Any], config: Any) -> Any:
    """Import a model of this package first, which puts its dataset class where RecBole looks for one.

    Reads ``model``.
    """
    if is_ours(config["model"]):
        model_class(config["model"])
    return original(config)


def _dataset(original: Callable[..., Any], config: Any) -> Any:
    """Log the version of the data, and refuse a ``topk`` on which RecBole would crash after the first epoch.

    Reads ``protocol``, ``topk``, ``data_path``, ``dataset``, and ``model`` by `is_plugin_run`.

    Raises:
        UserError: If the largest ``topk`` exceeds the number of items.
    """
    from recbole_llminit.dataset.card import read_card

    dataset = original(config)
    if not is_plugin_run(config):
        return dataset
    dataset.config = config  # a saved dataset holds the config of the run that saved it
    if card := read_card(Path(config["data_path"])):
        getLogger().info(f"{config['dataset']}: {card.version}")
    n_items = dataset.item_num - 1
    if "protocol" in config and (most := max(config["topk"])) > n_items:
        raise UserError(f"topk {most} is larger than the catalogue of {n_items} items; lower topk")
    return dataset


class _Pandas(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Proxy for pandas that reads files by the compiled parser instead of the Python one RecBole asks for."""

    def read_csv(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("engine") == "python" and len(kwargs.get("delimiter") or "") == 1:
            kwargs |= {"engine": "c", "float_precision": "round_trip"}  # parse numbers as Python does
        return self.__wrapped__.read_csv(*args, **kwargs)


def _load(original: Callable[..., Any], dataset: Any, *args: Any) -> Any:
    """Read the atomic files by pandas' compiled parser."""
    if not is_plugin_run(dataset.config):
        return original(dataset, *args)
    import recbole.data.dataset.dataset as host

    theirs, host.pd = host.pd, _Pandas(host.pd)
    try:
        return original(dataset, *args)
    finally:
        host.pd = theirs


def _split(original: Callable[..., Any], dataset: Any) -> Any:
    """Remove from the training part of the split what ``cold_items`` and ``drop_history`` ask for.

    The training part also gets the attribute ``counts``: the numbers of users, items and interactions of
    the whole dataset, for the result file. Reads ``cold_items``, ``drop_history``, ``seed``.
    """
    built = original(dataset)
    if is_plugin_run(dataset.config):
        from recbole_llminit.sampling import cold_start

        built[0].counts = {
            "users": dataset.user_num - 1,
            "items": dataset.item_num - 1,
            "interactions": dataset.inter_num,
        }
        if cold_start.asked(dataset.config):
            cold_start.check(dataset.config)
            cold_start.remove(built[0], dataset.config)
    return built


def _saved_loaders(original: Callable[..., Any], config: Any) -> Any:
    """Reject saved data loaders made with other values of this package's keys, so that new ones are made.

    RecBole compares only its own keys. Reads ``model``, ``candidates_file``, the keys of cold start and
    those that the model's spec names as `split_keys`.
    """
    from recbole_llminit.sampling import cold_start

    found = original(config)
    if found is None:
        return None
    made_by = found[0]._dataset.config
    keys = (*cold_start.KEYS, "candidates_file", *spec_of(config["model"]).split_keys)
    return found if all((config[key] or None) == (made_by[key] or None) for key in keys) else None


def _samplers(original: Callable[..., Any], config: Any, dataset: Any, built: Any) -> Any:
    """Replace RecBole's samplers by faster ones with the same draws, or by fixed candidates.

    Reads ``cold_items``, ``drop_history``, ``candidates_file``, and ``model`` and ``protocol`` by
    `is_plugin_run`.
    """
    if not is_plugin_run(config):
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


def _dataloader(original: Callable[..., Any], config: Any, phase: str) -> Any:
    """Return the loader class that RecBole has for X also for ``LLMInit<X>``; rank by `FullRankingLoader`.

    Reads ``model``, and ``protocol`` by `is_plugin_run`.
    """
    host = host_name(config["model"])
    found = original(ChainMap({"model": host}, config.final_config_dict), phase)
    if found.__name__ == "FullSortEvalDataLoader" and is_plugin_run(config):
        from recbole_llminit.evaluation.full_ranking import FullRankingLoader

        return FullRankingLoader
    return found


def _evaluation_batch(original: Callable[..., None], loader: Any) -> None:
    """Size the batches of a full ranking in users, unless the user set ``eval_batch_size``.

    Reads ``users_per_batch``, ``eval_batch_size``.
    """
    original(loader)
    config = loader.config
    if config["users_per_batch"] and "eval_batch_size" not in config.external_config_dict:
        from recbole_llminit.evaluation.batching import users_per_batch

        n_items = loader._dataset.item_num
        users = users_per_batch(config, n_items)
        if loader.is_sequential and config["users_per_batch"] == "auto":
            users = min(users, config["eval_batch_size"])  # for a sequential model the key counts users
        loader.step = users
        loader.set_batch_size(users if loader.is_sequential else users * n_items)


def install() -> None:
    """Wrap each function as soon as its module is imported."""
    loaders = "recbole.data.dataloader.general_dataloader"
    wrap("recbole.data.utils", "create_dataset", _dataset_class)
    wrap("recbole.quick_start.quick_start", "create_dataset", _dataset)
    wrap("recbole.data.dataset.dataset", "Dataset._load_feat", _load)
    wrap("recbole.data.dataset.dataset", "Dataset.build", _split)
    wrap("recbole.data.utils", "load_split_dataloaders", _saved_loaders)
    wrap("recbole.data.utils", "create_samplers", _samplers)
    wrap("recbole.data.utils", "get_dataloader", _dataloader)
    wrap(loaders, "FullSortEvalDataLoader._init_batch_size_and_step", _evaluation_batch)
