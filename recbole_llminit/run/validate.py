"""Check a run's input before the run starts. Nothing here creates a file."""

from __future__ import annotations

import difflib
import functools
import pkgutil
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole_llminit.dataset.places import PROPS, atomic_file, checked_name, prepared_names
from recbole_llminit.embedding.load import find_table
from recbole_llminit.evaluation.batching import users_per_batch
from recbole_llminit.plugin.properties import config_files
from recbole_llminit.plugin.registry import model_class, spec_of, specs
from recbole_llminit.prepare.recipe import recipes
from recbole_llminit.run import diagnostics
from recbole_llminit.sampling import cold_start
from recbole_llminit.utils.errors import UserError, nearest
from recbole_llminit.utils.yaml import read_mapping

OWN_FLAGS = {"model", "dataset", "config_files", "nproc", "ip", "port", "world_size", "group_offset"}
_SPLIT_KEYS = ("split", "group_by", "order")


@dataclass(frozen=True)
class Request:
    """The input of one run.

    Attributes:
        config: RecBole's config.
        files: The property files in the order of reading: a later one overrides earlier ones.
        given: The keys and values that the user gave, in files or as ``--key=value``.
    """

    config: Any
    files: list[str]
    given: Mapping[str, Any]

    @property
    def data_path(self) -> Path:
        """The folder of datasets, to which RecBole has added the dataset's name in the key ``data_path``."""
        return Path(self.config["data_path"]).parent


def read_request(
    model: str, dataset: str, user_files: Sequence[str], overrides: Mapping[str, str]
) -> Request:
    """Read a run's property files and make its config.

    RecBole's ``Config`` reads the overrides from ``sys.argv``; they are passed here as well because
    ``protocol`` decides which files are read.

    Args:
        model: Any model's name.
        dataset: The dataset's name.
        user_files: The user's YAML files, in order.
        overrides: The user's ``--key=value``.

    Raises:
        UserError: If the model or a file does not exist, a file is not YAML, RecBole refuses a value, or
            the dataset's name is a path.
    """
    checked_name(dataset, "dataset")
    model_class(model)
    contents = {file: read_mapping(file) for file in map(_find_yaml, user_files)}
    given: dict[str, Any] = {}
    for content in contents.values():
        given |= content
    given |= overrides
    files = config_files(model, dataset, str(given.get("protocol") or "auto"))
    files += [str(file) for file, content in contents.items() if content]  # RecBole fails on an empty file
    return Request(_config(model, dataset, files), files, given)


def _find_yaml(name: str) -> Path:
    """Return the property file at the path `name`, or the shipped one (``props/reference.yaml``)."""
    for file in (Path(name), PROPS.parent / name, PROPS / name):
        if file.is_file():
            return file
    raise UserError(f"config file '{name}' does not exist")


def _config(model: str, dataset: str, files: list[str]) -> Any:
    from recbole.config import Config

    try:
        return Config(model=model, dataset=dataset, config_file_list=files)
    except UserError:
        raise
    except Exception as error:  # whatever RecBole raises here is due to a value that the user gave
        raise UserError(f"config: {' '.join(str(error).split()) or type(error).__name__}") from error


def check_values(request: Request, nproc: int = 1) -> None:
    """Check the values of a run's keys, and warn of keys that nothing reads.

    Reads ``model``, ``resume``, ``result_file``, ``users_per_batch``, ``eval_args``, ``gpu_id``, ``use_gpu``,
    the keys of cold start and diagnostics, and those that the `settings` of the model's spec check.

    Args:
        request: The run.
        nproc: Number of processes on this machine; several need a GPU each.

    Raises:
        UserError: If a value would stop the run.
    """
    config = request.config
    _warn_unknown(request.given)
    _warn_partial_split(request)
    users_per_batch(config, n_items=1)
    cold_start.check(config)
    diagnostics.check(config)
    if config["resume"] and not Path(config["resume"]).is_file():
        raise UserError(f"--resume: checkpoint '{config['resume']}' does not exist")
    if config["result_file"] and Path(config["result_file"]).is_dir():
        raise UserError(f"result_file '{config['result_file']}' is a folder; name a file in it")
    for settings in spec_of(config["model"]).settings:
        pkgutil.resolve_name(settings)(config)
    _check_processes(config, nproc)


@functools.cache
def known_keys() -> set[str]:
    """Return every config key that occurs in RecBole's files or code, or in this package's files."""
    import recbole

    keys = set(OWN_FLAGS)
    root = Path(recbole.__file__).parent
    # The files in props/experiment are studies, whose fields are no config keys.
    ours = (file for file in PROPS.glob("**/*.yaml") if file.parent.name != "experiment")
    models = (spec.defaults for spec in specs() if spec.defaults.is_file())
    for file in (*root.glob("properties/**/*.yaml"), *ours, *models):
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


def _warn_partial_split(request: Request) -> None:
    """Warn if the user's `eval_args`, which replaces the protocol's as a whole, leaves out its split."""
    if "eval_args" not in request.given:
        return
    own = request.config.external_config_dict["eval_args"]
    lost = [key for key in _SPLIT_KEYS if key not in own]
    if lost:
        getLogger().warning(
            f"eval_args replaces the protocol's whole: without {', '.join(lost)} RecBole takes "
            + ", ".join(f"{key}: {request.config['eval_args'][key]}" for key in lost)
        )


def _check_processes(config: Any, nproc: int) -> None:
    """Refuse more processes than GPUs: RecBole's processes need one each, since it supports NCCL only."""
    import torch

    gpus = len([gpu for gpu in str(config["gpu_id"]).split(",") if gpu]) if config["use_gpu"] else 0
    there = min(gpus, torch.cuda.device_count())
    if nproc > 1 and there < nproc:
        raise UserError(f"--nproc={nproc} needs as many GPUs; gpu_id, use_gpu and this machine give {there}")


def check_dataset(request: Request) -> None:
    """Refuse a dataset that does not exist, and name those that do.

    Reads ``dataset``, ``data_path``, ``benchmark_filename``.

    Raises:
        UserError: If the dataset's file of interactions does not exist.
    """
    config = request.config
    folder, dataset = Path(config["data_path"]), config["dataset"]
    if config["benchmark_filename"] or atomic_file(folder, "inter").is_file():
        return
    there = prepared_names(request.data_path)
    raise UserError(
        f"unknown dataset '{dataset}': {folder / dataset}.inter does not exist (there are "
        f"{', '.join(there)}).{nearest(dataset, there)} Put its atomic files there, make one of "
        f"{', '.join(recipes())} with `recbole-llminit prepare NAME`, or look elsewhere with "
        "--data_path=FOLDER (`experiment`: --data-path FOLDER)"
    )


def check_vectors(request: Request) -> None:
    """Refuse a table of vectors that does not exist, if the run reads one.

    Reads ``model``, ``llm_embedding``, ``dataset``, ``data_path``.

    Raises:
        UserError: If the table does not exist; names those that do, and the command that makes one.
    """
    if reads_vectors(request):
        find_table(request.config)


def reads_vectors(request: Request) -> bool:
    """Tell whether the run reads a table of vectors. Reads ``model``, ``llm_embedding``."""
    config = request.config
    return spec_of(config["model"]).reads_vectors and config["llm_embedding"] not in (None, "none")
