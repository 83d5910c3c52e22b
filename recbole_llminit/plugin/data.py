"""Where RecBole's data rooms meet our runs: reading, splitting, sampling, and loading for a full ranking."""

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

# Keys of every model that decide what a saved data loader holds; RecBole compares its own.
_SPLIT_KEYS = ("cold_items", "drop_history", "candidates_file")


def _dataset_class(original: Callable[..., Any], config: Any) -> Any:
    """Import one of our models first: its own dataset class is then where RecBole looks for it."""
    if is_ours(config["model"]):
        model_class(config["model"])
    return original(config)


def _dataset(original: Callable[..., Any], config: Any) -> Any:
    """Say what data these are, and refuse a cut-off that RecBole would crash on after the first epoch.

    Reads ``protocol``, ``topk``, ``data_path``.
    """
    from recbole_llminit.dataset.card import read_card

    dataset = original(config)
    if is_plugin_run(config):
        dataset.config = config  # a saved one would be split by the keys of the run that saved it
    if card := read_card(Path(config["data_path"])):
        getLogger().info(f"{config['dataset']}: {card.version}")
    n_items = dataset.item_num - 1
    if "protocol" in config and (most := max(config["topk"])) > n_items:
        raise UserError(f"topk {most} is larger than the catalogue of {n_items} items; lower topk")
    return dataset


class _Pandas(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """pandas, reading files by its compiled parser instead of the one in Python that RecBole asks for."""

    def read_csv(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("engine") == "python" and len(kwargs.get("delimiter") or "") == 1:
            kwargs |= {"engine": "c", "float_precision": "round_trip"}  # numbers as Python reads them
        return self.__wrapped__.read_csv(*args, **kwargs)


def _load(original: Callable[..., Any], dataset: Any, *args: Any) -> Any:
    """Read the atomic files of our runs by pandas' compiled parser."""
    if not is_plugin_run(dataset.config):
        return original(dataset, *args)
    import recbole.data.dataset.dataset as host

    theirs, host.pd = host.pd, _Pandas(host.pd)
    try:
        return original(dataset, *args)
    finally:
        host.pd = theirs


def _split(original: Callable[..., Any], dataset: Any) -> Any:
    """Take from the training part of our runs what ``cold_items`` and ``drop_history`` ask for.

    The training part also keeps the counts of the whole, for the result file: (``counts``).
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
    """Take saved data loaders for what they are: those of other values of our keys are made anew."""
    found = original(config)
    if found is None:
        return None
    made_by = found[0]._dataset.config
    keys = (*_SPLIT_KEYS, *spec_of(config["model"]).split_keys)
    return found if all((config[key] or None) == (made_by[key] or None) for key in keys) else None


def _samplers(original: Callable[..., Any], config: Any, dataset: Any, built: Any) -> Any:
    """Let our runs draw negatives by our samplers, which draw what RecBole's draw, or take fixed ones."""
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
    """Give ``LLMInit<X>`` the data loader that RecBole keeps for X, and our runs our full-ranking loader."""
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
            users = min(users, config["eval_batch_size"])  # which here counts users already
        loader.step = users
        loader.set_batch_size(users if loader.is_sequential else users * n_items)


def install() -> None:
    """Wrap each place as soon as its module is imported."""
    loaders = "recbole.data.dataloader.general_dataloader"
    wrap("recbole.data.utils", "create_dataset", _dataset_class)
    wrap("recbole.quick_start.quick_start", "create_dataset", _dataset)
    wrap("recbole.data.dataset.dataset", "Dataset._load_feat", _load)
    wrap("recbole.data.dataset.dataset", "Dataset.build", _split)
    wrap("recbole.data.utils", "load_split_dataloaders", _saved_loaders)
    wrap("recbole.data.utils", "create_samplers", _samplers)
    wrap("recbole.data.utils", "get_dataloader", _dataloader)
    wrap(loaders, "FullSortEvalDataLoader._init_batch_size_and_step", _evaluation_batch)
