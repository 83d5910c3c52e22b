"""RecBole's full-ranking evaluation without its Python loops: the same batches and the same metrics.

The histories and the positives (target items) of all users are stored in CSR arrays, of which each batch
takes the rows of its users.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from logging import getLogger
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.dataloader.general_dataloader import FullSortEvalDataLoader
from recbole.data.interaction import Interaction
from recbole.evaluator import Collector
from recbole.evaluator.collector import DataStruct
from recbole.utils import ModelType

from recbole_llminit.sampling.pairs import SeenItems, sorted_unique

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ItemLists:
    """A list of item ids for each user u: `items[starts[u]:starts[u + 1]]`.

    Indexed by a user or by several, it returns tensors, as RecBole's arrays of tensors do.
    """

    starts: Ids  # (n_users + 1,)
    items: Ids

    @classmethod
    def from_pairs(cls, users: Ids, items: Ids, n_users: int) -> ItemLists:
        """Group items by user, given pairs (n_pairs,) whose `users` are in ascending order."""
        return cls(np.searchsorted(users, np.arange(n_users + 1)), items)

    def of(self, users: Ids) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the row in the batch and the item id of every item in the lists of a batch of users."""
        lengths = self.starts[users + 1] - self.starts[users]
        rows = np.repeat(np.arange(len(users)), lengths)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        items = self.items[np.repeat(self.starts[users], lengths) + within]
        return torch.from_numpy(rows), torch.from_numpy(items)

    def __getitem__(self, user: Any) -> Any:
        if np.ndim(user):
            return [self[one] for one in user]
        return torch.from_numpy(self.items[self.starts[user] : self.starts[user + 1]])


class FullRankingLoader(FullSortEvalDataLoader):  # type: ignore[misc]
    """RecBole's full-ranking loader, built and read by array operations; sequential models use RecBole's.

    ``uid2positive_item`` and ``uid2history_item`` are indexed by user id as in RecBole. Reads `MODEL_TYPE`
    and the keys of RecBole's loader.
    """

    def __init__(self, config: Any, dataset: Any, sampler: Any, shuffle: bool = False) -> None:
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            super().__init__(config, dataset, sampler, shuffle)
            return
        self.logger = getLogger()
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        self.is_sequential = False
        dataset.sort(by=self.uid_field, ascending=True)
        n_users, n_items = dataset.user_num, dataset.item_num
        users = dataset.inter_feat[self.uid_field].numpy().astype(np.int64)
        items = dataset.inter_feat[self.iid_field].numpy().astype(np.int64)
        positive = sorted_unique(users * n_items + items)
        ranked = sorted_unique(users)
        history = np.setdiff1d(_used_pairs(sampler, ranked, n_items), positive, assume_unique=True)
        self.uid2positive_item = ItemLists.from_pairs(positive // n_items, positive % n_items, n_users)
        self.uid2history_item = ItemLists.from_pairs(history // n_items, history % n_items, n_users)
        self.uid2items_num = np.diff(self.uid2positive_item.starts)
        self.uid_list = torch.from_numpy(ranked)
        self.user_df = dataset.join(Interaction({self.uid_field: self.uid_list}))
        self.sample_size = len(self.user_df)
        if shuffle:
            self.logger.warning("FullSortEvalDataLoader can't shuffle")
        AbstractDataLoader.__init__(self, config, dataset, sampler, shuffle=False)

    def collate_fn(self, index: Any) -> Any:
        """Return a batch as RecBole does: users, (rows, items) of histories, rows and items of positives."""
        if self.is_sequential:
            return super().collate_fn(index)
        rows = np.asarray(index)
        users = self.uid_list.numpy()[rows]
        positive = self.uid2positive_item.of(users)
        return self.user_df[rows], self.uid2history_item.of(users), *positive


def _used_pairs(sampler: Any, users: Ids, n_items: int) -> Ids:
    """Return the pairs, as user * n_items + item in ascending order, that the sampler may not draw.

    They include all such pairs of `users`, and may include pairs of other users.
    """
    if isinstance(sampler.used_ids, SeenItems):
        return sampler.used_ids.pairs
    used = [sampler.used_ids[user] for user in users]
    lengths = np.fromiter(map(len, used), dtype=np.int64, count=len(used))
    items = np.fromiter(chain.from_iterable(used), dtype=np.int64, count=int(lengths.sum()))
    return np.sort(np.repeat(users, lengths) * n_items + items)


class ListCollector(Collector):  # type: ignore[misc]
    """RecBole's collector, with top-k metrics collected in time linear in the number of batches.

    RecBole concatenates all earlier batches with each new one, and marks positives in a (users, items)
    table. Here batches are kept in a list, and the top k items are looked up among the positives. Reads
    the keys of RecBole's collector (`metrics`, `topk`, `eval_args`, `device`).
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.data_struct = _Lists()

    def eval_batch_collect(
        self,
        scores_tensor: torch.Tensor,
        interaction: Any,
        positive_u: torch.Tensor,
        positive_i: torch.Tensor,
    ) -> None:
        """Collect a batch's top items and hits; if a metric needs anything else, RecBole collects the batch.

        The arguments are RecBole's: scores (n_users, n_items), the batch, and row and item of each positive.
        """
        needs = [key for key in ("rec.meanrank", "rec.score", "data.label") if self.register.need(key)]
        if needs:
            super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
            return
        top = top_items(scores_tensor, max(self.topk))
        if self.register.need("rec.items"):
            self.data_struct.update_tensor("rec.items", top)
        if self.register.need("rec.topk"):
            self.data_struct.update_tensor(
                "rec.topk", hits_of(top, positive_u, positive_i, scores_tensor.shape[1])
            )

    def get_data_struct(self) -> DataStruct:
        """Return the collected data with their batches concatenated, and clear the collector.

        RecBole calls ``cpu()`` on all data, which fails for the counts of items and users that its metrics
        of coverage and popularity need, because these are not tensors. They are set aside here.
        """
        self.data_struct.join()
        collected = self.data_struct._data_dict
        counts = {name: value for name, value in collected.items() if not isinstance(value, torch.Tensor)}
        for name in counts:
            del collected[name]
        returned = super().get_data_struct()
        for name, value in counts.items():
            self.data_struct.set(name, value)
            returned.set(name, value)
        return returned


def top_items(scores: torch.Tensor, k: int) -> torch.Tensor:
    """Return the k best items by `scores`, (n_users, n_items), best first.

    The result is (n_users, k) int64, with 0 (padding) where a user has no unmasked item left.
    """
    best, top = torch.topk(scores, k, dim=-1)
    return top.masked_fill(best == -torch.inf, 0)  # RecBole would list masked items of the history


def hits_of(
    top: torch.Tensor, positive_u: torch.Tensor, positive_i: torch.Tensor, n_items: int
) -> torch.Tensor:
    """Return (n_users, k + 1) int32: whether each top item is a positive, and the number of positives.

    The positives, (n_positives,), are given by their row in `top`, (n_users, k), and their item id.
    """
    pairs = torch.unique(positive_u.to(top.device) * n_items + positive_i.to(top.device))
    rows = torch.arange(len(top), device=top.device).unsqueeze(1)
    wanted = rows * n_items + top
    # searchsorted returns len(pairs) for a number above all pairs; -1 there makes the comparison fail.
    hit = F.pad(pairs, (0, 1), value=-1)[torch.searchsorted(pairs, wanted)] == wanted
    number = torch.bincount(pairs // n_items, minlength=len(top)).unsqueeze(1)
    return torch.cat([hit.int(), number.int()], dim=1)


class _Lists(DataStruct):  # type: ignore[misc]
    """RecBole's store of results, with the tensors of all batches concatenated only once."""

    def __init__(self) -> None:
        super().__init__()
        self._batches: dict[str, list[torch.Tensor]] = {}

    def update_tensor(self, name: str, value: torch.Tensor) -> None:
        """Append a batch to the list of the batches of `name`."""
        self._batches.setdefault(name, []).append(value.detach().clone())

    def join(self) -> None:
        """Concatenate the batches of each name."""
        for name, batches in self._batches.items():
            self._data_dict[name] = torch.cat(batches)
        self._batches = {}
