"""RecBole's samplers of negative items, with one vectorised look-up for all pairs of a batch.

For the same seed the negatives are exactly those that RecBole draws: an item is drawn for every row, then
again for the rows whose item the user has seen, until there is no such row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from recbole.sampler.sampler import RepeatableSampler, Sampler

Ids = npt.NDArray[np.int64]


class SeenItems:
    """The items that each user has seen, stored as sorted pairs.

    Indexed by a user it returns a set of item ids, as RecBole's ``used_ids`` does.

    Args:
        pairs: (n_pairs,) int64, user * n_items + item, in ascending order and without repeats.
        n_users: Number of users, with padding.
        n_items: Number of items, with padding.
    """

    def __init__(self, pairs: Ids, n_users: int, n_items: int) -> None:
        self.pairs, self.n_items = pairs, n_items
        self._starts = np.searchsorted(pairs, np.arange(n_users + 1) * n_items)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, user: Any) -> Any:
        if user is None:  # RecBole's loaders index by None before the first user
            return set()
        if np.ndim(user):
            return np.array([self[one] for one in user], dtype=object)
        return set((self.pairs[self._starts[user] : self._starts[user + 1]] - user * self.n_items).tolist())

    def contains(self, users: Ids, items: Ids) -> npt.NDArray[np.bool_]:
        """Return for each pair of `users` and `items`, (n,) each, whether the user has seen the item."""
        if not len(self.pairs):
            return np.zeros(len(users), dtype=bool)
        wanted = users * self.n_items + items
        at = np.searchsorted(self.pairs, wanted)
        found: npt.NDArray[np.bool_] = self.pairs[np.minimum(at, len(self.pairs) - 1)] == wanted
        return found

    def counts(self) -> Ids:
        """Return the number of items that each user has seen, (n_users,)."""
        return np.diff(self._starts)


def sorted_unique(numbers: Ids) -> Ids:
    """Return the distinct numbers in ascending order."""
    ordered = np.sort(numbers)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


class PairSampler(Sampler):  # type: ignore[misc]
    """RecBole's ``Sampler``, with the same distribution and the same draws for the same seed."""

    def get_used_ids(self) -> dict[str, SeenItems]:
        """Return, for each phase, the items that users have seen in it and in the phases before it.

        Raises:
            ValueError: If a user has seen every item.
        """
        seen: dict[str, SeenItems] = {}
        pairs = np.empty(0, dtype=np.int64)
        for phase, dataset in zip(self.phases, self.datasets, strict=True):
            users = dataset.inter_feat[self.uid_field].numpy().astype(np.int64)
            items = dataset.inter_feat[self.iid_field].numpy().astype(np.int64)
            pairs = sorted_unique(np.concatenate([pairs, users * self.item_num + items]))
            seen[phase] = SeenItems(pairs, self.user_num, self.item_num)
        if (seen[self.phases[-1]].counts() + 1 == self.item_num).any():
            raise ValueError(
                "Some users have interacted with all items, "
                "which we can not sample negative items for them. "
                "Please set `user_inter_num_interval` to filter those users."
            )
        return seen

    def sample_by_key_ids(self, key_ids: Sequence[int] | Ids, num: int) -> torch.Tensor:
        """Return `num` unseen items for each user, (num * n,): the first of every user, then the second."""
        users = np.tile(np.asarray(key_ids, dtype=np.int64), num)
        return _drawn(self.sampling, len(users), lambda row, item: self.used_ids.contains(users[row], item))


class RepeatablePairSampler(RepeatableSampler):  # type: ignore[misc]
    """RecBole's ``RepeatableSampler``, which draws any item but the row's, with the same draws per seed."""

    def sample_by_user_ids(self, user_ids: Sequence[int] | Ids, item_ids: Ids, num: int) -> torch.Tensor:
        """Return `num` items for each row, (num * n,): the first of every row, then the second."""
        own = np.tile(np.asarray(item_ids, dtype=np.int64), num)
        return _drawn(self.sampling, len(own), lambda row, item: own[row] == item)


def _drawn(
    draw: Callable[[int], Ids], n: int, refused: Callable[[Ids, Ids], npt.NDArray[np.bool_]]
) -> torch.Tensor:
    """Draw n items, and draw again for the rows whose item is refused, until none is refused."""
    items = np.zeros(n, dtype=np.int64)
    rows = np.arange(n)
    while len(rows):
        items[rows] = draw(len(rows))
        rows = rows[refused(rows, items[rows])]
    return torch.from_numpy(items)
