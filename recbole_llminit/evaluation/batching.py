"""Choose the number of users per step of a full ranking."""

from __future__ import annotations

from typing import Any

import psutil
import torch

from recbole_llminit.utils.errors import UserError

# A step holds about four (users, items) tables of 4 bytes at once: scores, positives, and those of top-k.
_BYTES_PER_PAIR = 16
# For a model without `full_sort_predict` RecBole makes an interaction of every (user, item) pair.
_BYTES_PER_WRITTEN_PAIR = 128
_SHARE_OF_FREE_MEMORY = 0.1
_MOST_BYTES = 2**27  # more is not faster: the tables no longer fit a cache


def users_per_batch(config: Any, n_items: int) -> int:
    """Return the number of users per step of a full ranking over `n_items` items.

    RecBole counts `eval_batch_size` in (user, item) pairs, so that its default of 4096 means one
    user per step once a catalogue has more than 2,048 items. Reads `users_per_batch`, `model_class` and
    `device`.

    Raises:
        UserError: If ``users_per_batch`` is neither ``auto`` nor a positive integer.
    """
    wanted = config["users_per_batch"]
    if wanted == "auto":
        return _from_memory(config["model_class"] or config.model_class, n_items, config["device"])
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise UserError(f"users_per_batch '{wanted}' must be auto or a positive integer")
    return wanted


def _from_memory(model_class: type[Any], n_items: int, device: torch.device) -> int:
    from recbole.model.abstract_recommender import AbstractRecommender

    one_by_one = model_class.full_sort_predict is AbstractRecommender.full_sort_predict
    per_pair = _BYTES_PER_WRITTEN_PAIR if one_by_one else _BYTES_PER_PAIR
    budget = min(_free_memory(device) * _SHARE_OF_FREE_MEMORY, _MOST_BYTES)
    return max(1, int(budget // (per_pair * n_items)))


def _free_memory(device: torch.device) -> int:
    """Return the free memory of `device` in bytes."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return int(torch.cuda.mem_get_info(index)[0])
    return int(psutil.virtual_memory().available)
