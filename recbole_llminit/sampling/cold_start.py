"""Simulate cold start: items without any training interaction, and users with a part of their history.

Interactions are removed from the training part after the split; validation and test keep theirs. The model
does not see a removed interaction: it is in no graph, pooled user vector or count, and its item may be
drawn as a negative. It is not a target item either, so a protocol that masks the history in the full
ranking masks removed interactions too. Otherwise a model would be penalised for recommending them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from recbole_llminit.sampling.pairs import SeenItems, sorted_unique
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.values import is_number

Ids = npt.NDArray[np.int64]
KEYS = ("cold_items", "drop_history")


def asked(config: Any) -> bool:
    """Return whether the config asks for a cold start. Reads `cold_items` and `drop_history`."""
    return any(config[key] for key in KEYS)


def check(config: Any) -> None:
    """Check the keys of the cold start. Reads `cold_items`, `drop_history`, `MODEL_TYPE` and `model`.

    Raises:
        UserError: If a share is not in [0, 1), or if the model is sequential: RecBole makes the sequences
            before the split, so that interactions could not be removed from them.
    """
    from recbole.utils import ModelType

    for key in KEYS:
        share = config[key] or 0
        if not is_number(share) or not 0 <= share < 1:
            raise UserError(f"{key} '{share}' must be a share from 0 up to, but not including, 1")
    if asked(config) and config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        raise UserError(
            f"{' and '.join(KEYS)} are of models without sequences; {config['model']} is sequential"
        )


def choose_cold_items(n_items: int, share: float, seed: int) -> Ids:
    """Draw round(share * n_items) of the item ids 1..n_items, and return them in ascending order."""
    rng = np.random.default_rng((seed, 1))
    return np.sort(rng.choice(np.arange(1, n_items + 1), round(share * n_items), replace=False))


def dropped(users: Ids, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Mark floor(share * n) of each user's n interactions at random: (n_interactions,) bool.

    `users`, (n_interactions,), holds the user of each interaction.
    """
    shuffled = np.random.default_rng((seed, 2)).permutation(len(users))
    order = shuffled[np.argsort(users[shuffled], kind="stable")]  # grouped by user, in random order within
    _, starts, counts = np.unique(users[order], return_index=True, return_counts=True)
    place = np.arange(len(users)) - np.repeat(starts, counts)
    marked = np.zeros(len(users), dtype=bool)
    marked[order] = place < np.repeat(np.floor(share * counts + 1e-9), counts)
    return marked


def remove(train: Any, config: Any) -> None:
    """Remove interactions from RecBole's training dataset, in place.

    First the items that ``cold_items`` draws lose all their training interactions. ``drop_history`` is a
    share of the interactions that each user then has left. Sets `train.cold_items` (ids, ascending) and
    `train.removed_pairs` (user * n_items + item, ascending). Reads `cold_items`, `drop_history`, `seed`.

    Raises:
        UserError: If no training interaction is left.
    """
    users, items = (train.inter_feat[name].numpy() for name in (train.uid_field, train.iid_field))
    train.cold_items = choose_cold_items(train.item_num - 1, config["cold_items"] or 0, config["seed"])
    gone = np.isin(items, train.cold_items)
    left = np.flatnonzero(~gone)
    gone[left[dropped(users[left], config["drop_history"] or 0, config["seed"])]] = True
    if gone.all():
        raise UserError("cold_items and drop_history leave no training interaction; lower them")
    train.removed_pairs = sorted_unique(users[gone].astype(np.int64) * train.item_num + items[gone])
    train.inter_feat = train.inter_feat[np.flatnonzero(~gone)]


def instruct(samplers: Sequence[Any], train: Any) -> None:
    """Exclude cold items from the training negatives, and mask removed interactions with the history.

    Args:
        samplers: RecBole's samplers for training, validation and test.
        train: The training dataset after `remove`.

    Raises:
        UserError: If a user has interacted with every item that is not cold, so that no negative is left.
    """
    for_training, *for_ranking = samplers
    if for_training is not None and len(train.cold_items):
        _check_negatives(for_training, train)
        draw = functools.partial(_draw_warm, for_training.sampling, train.cold_items)
        for_training.sampling = draw
    for sampler in for_ranking:
        if sampler is not None and isinstance(sampler.used_ids, SeenItems):
            pairs = sorted_unique(np.concatenate([sampler.used_ids.pairs, train.removed_pairs]))
            sampler.used_ids = SeenItems(pairs, train.user_num, train.item_num)


def _check_negatives(sampler: Any, train: Any) -> None:
    n_warm = train.item_num - 1 - len(train.cold_items)
    most = sampler.used_ids.counts().max() if isinstance(sampler.used_ids, SeenItems) else 1
    if most >= n_warm:
        raise UserError(f"cold_items: a user has all {n_warm} items that are left; lower it")


def _draw_warm(draw: Callable[[int], Any], cold: Ids, number: int) -> npt.NDArray[np.int64]:
    """Draw `number` items, and draw again in place of each cold item until none is left."""
    items = np.asarray(draw(number))
    while len(again := np.flatnonzero(np.isin(items, cold))):
        items[again] = draw(len(again))
    return items


def keep_untrained(model: Any, train: Any) -> None:
    """Zero the gradient of cold items in ``item_embedding``, so that their rows keep their initial values.

    Otherwise a loss over all items (SGL's) would move these rows although no interaction contains the
    items. As a result `LLMInit<X>` scores a cold item by its selected text vector, and the host model X
    by a random vector. In LightGCN and the models that extend it, an item without an edge exchanges
    nothing with its neighbours: its final vector is its row divided by (n_layers + 1), which is shorter
    than the final vector of a warm item with the same row. Weight decay, off by default, still shrinks
    these rows.
    """
    table = getattr(model, "item_embedding", None)
    cold = getattr(train, "cold_items", ())
    if isinstance(table, nn.Embedding) and len(cold) and table.weight.requires_grad:
        table.weight.register_hook(functools.partial(_without, torch.from_numpy(cold)))


def _without(rows: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return gradient.index_fill(0, rows.to(gradient.device), 0.0)
