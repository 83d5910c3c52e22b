"""Load a trained RecBole model as a frozen part of another run, and verify that it has the run's split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from recbole_llminit.pretrained.identity import SPLIT, first_difference, identity, identity_of
from recbole_llminit.utils.errors import UserError


@dataclass(frozen=True)
class Frozen:
    """A model that is never trained further, and the hash of its state.

    It is not an `nn.Module`, so that a model which holds it does not save, train or copy it.
    """

    model: Any
    hash: str

    def __deepcopy__(self, memo: Any) -> Frozen:
        return self


def load_frozen(config: Any, key: str, dataset: Any) -> Frozen:
    """Load the checkpoint that `key` names, for a run on `dataset`.

    The dataset that the model was trained on is built again from the checkpoint's config, because RecBole
    saves no vocabulary. Reads `key`, `device`, `protocol` and the keys of `identity`; sets `key` to the file
    that was found.

    Args:
        config: The run's config.
        key: The config key whose value is a checkpoint, or a folder whose newest checkpoint is taken.
        dataset: The run's dataset, whose ids must be the checkpoint's.

    Raises:
        UserError: If there is no such checkpoint, if its data have changed since, or if it was trained on
            another dataset, split, order, seed, filter or length of sequence: such a model may have seen
            test items.
    """
    file = find_checkpoint(config, key)
    config[key] = str(file)  # this run's checkpoints must name the file: a folder's newest may change
    saved = read_checkpoint(file, key, config["device"])
    theirs, made_by, here = saved["config"], identity_of(saved), identity(config)
    _refuse_other_split(file, key, made_by, here, config["protocol"])
    theirs["device"] = config["device"]
    model = _rebuilt(file, key, theirs, dataset)
    changed = UserError(f"{key} '{file}': its data, {theirs['dataset']}, have changed since; train it again")
    if first_difference(made_by, here, only=("inter",)):
        raise changed
    try:
        model.load_state_dict(saved["state_dict"])
    except RuntimeError:
        raise changed from None
    model.load_other_parameter(saved["other_parameter"])
    return Frozen(model.eval().requires_grad_(False), state_hash(saved["state_dict"]))


def find_checkpoint(config: Any, key: str) -> Path:
    """Return the checkpoint that `key` names: a file, or the newest ``.pth`` file of a folder.

    Reads `key` and `model`.

    Raises:
        UserError: If `key` is unset or there is no such checkpoint.
    """
    if config[key] is None:
        raise UserError(f"{config['model']} needs a trained model: set {key} to its checkpoint")
    path = Path(str(config[key]))
    files = sorted(path.glob("*.pth"), key=lambda file: file.stat().st_mtime) if path.is_dir() else [path]
    if not files or not files[-1].is_file():
        raise UserError(f"{key} '{path}': no such checkpoint; train a model first and give its .pth file")
    return files[-1]


def state_hash(state: Mapping[str, torch.Tensor]) -> str:
    """Return the hexadecimal SHA-256 of the names and values of a model's state."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        values = state[name].detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().tobytes())  # NumPy has no bfloat16
    return digest.hexdigest()


def read_checkpoint(file: Path, key: str, device: torch.device | str) -> dict[str, Any]:
    """Return the content of the checkpoint that the config key `key` names, with its tensors on `device`.

    Raises:
        UserError: If the file is no checkpoint of RecBole.
    """
    try:
        saved = torch.load(file, map_location=device, weights_only=False)
        return {
            "other_parameter": None,
            **saved,
            "config": saved["config"],
            "state_dict": saved["state_dict"],
        }
    except (  # a file of another kind raises any of the errors of pickle
        UnpicklingError,
        RuntimeError,
        EOFError,
        LookupError,
        TypeError,
        AttributeError,
        ImportError,
    ) as e:
        reason = " ".join(str(e).split())[:200]
        raise UserError(f"{key} '{file}' is no checkpoint of RecBole: {reason}") from None


def _refuse_other_split(
    file: Path, key: str, made_by: dict[str, Any], here: dict[str, Any], protocol: str
) -> None:
    """Refuse other settings of the split and, if both models are sequential, of the length of sequences."""
    if found := first_difference(made_by, here, only=SPLIT):
        name, theirs, ours = found
        raise UserError(
            f"{key} '{file}' was trained with {name} {theirs!r}, this run has {ours!r}; a model of "
            f"another split may have seen test items: train it with --protocol={protocol} and "
            "this run's keys"
        )


def _rebuilt(file: Path, key: str, theirs: Any, dataset: Any) -> Any:
    """Build the model on the dataset that it was trained on; refuse ids that are not those of `dataset`."""
    from recbole.data import create_dataset
    from recbole.utils import get_model

    where = Path(theirs["data_path"])
    if theirs["benchmark_filename"] is None and not (where / f"{theirs['dataset']}.inter").is_file():
        raise UserError(f"{key} '{file}' was trained on {where}, which is not there (any more)")
    built = create_dataset(theirs)
    for field in (dataset.uid_field, dataset.iid_field):
        if not np.array_equal(built.field2id_token[field], dataset.field2id_token[field]):
            raise UserError(
                f"{key} '{file}' was trained on other data: the ids of {field} in {where} are not this "
                "run's; train it on the same files"
            )
    return get_model(theirs["model"])(theirs, built.build()[0]).to(theirs["device"])
