"""Everything that can be wrong with a run's input, said before the run starts."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import yaml

from recbole_llminit.dataset.places import ATOMIC_DATA, PROPS
from recbole_llminit.embedding.load import find_table
from recbole_llminit.evaluation.batching import users_per_batch
from recbole_llminit.plugin.registry import config_files, model_class
from recbole_llminit.prepare.recipe import recipes
from recbole_llminit.run import diagnostics
from recbole_llminit.run.materialize import make_dataset, make_vectors
from recbole_llminit.sampling import cold_start
from recbole_llminit.utils.errors import UserError, nearest

OWN_FLAGS = {"model", "dataset", "config_files", "nproc", "ip", "port", "world_size", "group_offset"}
_SPLIT_KEYS = ("split", "group_by", "order")


def checked_files(
    model: str, dataset: str, user_files: Sequence[str], overrides: dict[str, str], nproc: int = 1
) -> list[str]:
    """Check a run's input and return its property files, the weakest first.

    RecBole's ``Config`` reads the overrides from ``sys.argv``; they are passed here as well because
    ``protocol`` decides which files there are.

    Args:
        model: Any model's name.
        dataset: The dataset's name.
        user_files: The user's YAML files, in order.
        overrides: The user's ``--key=value``.
        nproc: Processes on this machine, each with a GPU.

    Raises:
        UserError: If anything is wrong that would stop the run, in RecBole's words where they are
            RecBole's.
    """
    model_class(model)
    contents = {file: _mapping(file) for file in map(_find_yaml, user_files)}
    given: dict[str, Any] = {}
    for content in contents.values():
        given |= content
    given |= overrides
    files = config_files(model, dataset, str(given.get("protocol") or "auto"))
    files += [str(file) for file, content in contents.items() if content]  # RecBole trips over empty ones
    config = _config(model, dataset, files)
    make_dataset(dataset, _data_path(config), quiet=given.get("show_progress") == "False")
    _warn_unknown(given)
    _warn_partial_split(config, given)
    _check_dataset(config)
    _check_settings(config)
    _check_processes(config, nproc)
    return files


def _data_path(config: Any) -> Path:
    """Return the folder of datasets; RecBole has added the dataset's name to it."""
    return Path(config["data_path"]).parent


def _find_yaml(name: str) -> Path:
    """Return a property file: as named, or the shipped one of that name (``props/reference.yaml``)."""
    for file in (Path(name), PROPS.parent / name, PROPS / name):
        if file.is_file():
            return file
    raise UserError(f"config file '{name}' does not exist")


def _mapping(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8: {error}") from None
    if content is not None and not isinstance(content, dict):
        raise UserError(f"{file} holds a {type(content).__name__}; expected lines of `key: value`")
    return content or {}


def _config(model: str, dataset: str, files: list[str]) -> Any:
    from recbole.config import Config

    try:
        return Config(model=model, dataset=dataset, config_file_list=files)
    except UserError:
        raise
    except Exception as error:  # whatever RecBole raises here, the cause is a value it was given
        raise UserError(f"config: {' '.join(str(error).split()) or type(error).__name__}") from error


@functools.cache
def known_keys() -> set[str]:
    """Return every config key that RecBole's files or code, or this package's files, name."""
    import recbole

    keys = set(OWN_FLAGS)
    root = Path(recbole.__file__).parent
    ours = (file for file in PROPS.glob("**/*.yaml") if file.parent.name != "experiment")  # studies
    for file in (*root.glob("properties/**/*.yaml"), *ours):
        keys |= set(re.findall(r"^(\w+) *:", file.read_text(encoding="utf-8"), flags=re.MULTILINE))
    for code in root.glob("**/*.py"):
        text = code.read_text(encoding="utf-8")
        keys |= set(re.findall(r"""(?:config|config_dict)\[["'](\w+)["']\]""", text))
    return keys


def _warn_unknown(given: Iterable[str]) -> None:
    unknown = sorted(set(given) - known_keys())
    for key in unknown:
        close = difflib.get_close_matches(key, known_keys(), n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        getLogger().warning(f"unknown config key '{key}' has no effect.{hint}")


def _warn_partial_split(config: Any, given: dict[str, Any]) -> None:
    """RecBole replaces `eval_args` whole: naming only a mode loses the protocol's split."""
    if "eval_args" not in given:
        return
    own = config.external_config_dict["eval_args"]
    lost = [key for key in _SPLIT_KEYS if key not in own]
    if lost:
        getLogger().warning(
            f"eval_args replaces the protocol's whole: without {', '.join(lost)} RecBole takes "
            + ", ".join(f"{key}: {config['eval_args'][key]}" for key in lost)
        )


def _check_dataset(config: Any) -> None:
    folder, dataset = Path(config["data_path"]), config["dataset"]
    if config["benchmark_filename"] or (folder / f"{dataset}.inter").is_file():
        return
    files = [file for root in (folder.parent, ATOMIC_DATA) for file in root.glob("*/*.inter")]
    names = {file.stem for file in files if file.stem == file.parent.name}
    there = sorted({*names, "ml-100k"})  # RecBole ships ml-100k
    raise UserError(
        f"unknown dataset '{dataset}': {folder / dataset}.inter does not exist (there are "
        f"{', '.join(there)}).{nearest(dataset, there)} Put its atomic files there{_recipes()}, or look "
        "elsewhere with --data_path=FOLDER (`experiment`: --data-path FOLDER)"
    )


def _recipes() -> str:
    """Name the datasets that ``recbole-llminit prepare`` has a recipe for."""
    return f", make one of {', '.join(recipes())} with `recbole-llminit prepare NAME`"


def _check_settings(config: Any) -> None:
    users_per_batch(config, n_items=1)
    cold_start.check(config)
    diagnostics.check(config)
    if config["resume"] and not Path(config["resume"]).is_file():
        raise UserError(f"--resume: checkpoint '{config['resume']}' does not exist")
    if config["result_file"] and Path(config["result_file"]).is_dir():
        raise UserError(f"result_file '{config['result_file']}' is a folder; name a file in it")
    if hasattr(config.model_class, "vector_settings"):
        config.model_class.vector_settings(config)
        if config["llm_embedding"] not in (None, "none"):
            _find_or_make_table(config)


def _find_or_make_table(config: Any) -> None:
    """Find the vectors, or encode the items of a dataset that ``prepare`` made."""
    try:
        find_table(config)
    except UserError as missing:
        name, quiet = str(config["llm_embedding"]), not config["show_progress"]
        try:
            made = make_vectors(str(config["dataset"]), _data_path(config), name, quiet)
        except (UserError, ImportError) as error:
            raise UserError(f"{missing}; making it now failed: {error}") from None
        if not made:
            raise


def _check_processes(config: Any, nproc: int) -> None:
    """RecBole's processes need a GPU each: it speaks NCCL only."""
    import torch

    gpus = len([gpu for gpu in str(config["gpu_id"]).split(",") if gpu]) if config["use_gpu"] else 0
    there = min(gpus, torch.cuda.device_count())
    if nproc > 1 and there < nproc:
        raise UserError(f"--nproc={nproc} needs as many GPUs; gpu_id, use_gpu and this machine give {there}")
