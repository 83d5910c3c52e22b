"""RecBole's full-ranking evaluation without its Python loops: the same batches, the same metrics.

What a user has interacted with, and what is to be found, lie in CSR arrays; a batch is cut out of them.
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
    """A list of item ids for each user: `items[starts[u]:starts[u + 1]]`; indexed, tensors as RecBole's."""

    starts: Ids  # (n_users + 1,)
    items: Ids

    @classmethod
    def from_pairs(cls, users: Ids, items: Ids, n_users: int) -> ItemLists:
        """Group items by user; `users` is in ascending order."""
        return cls(np.searchsorted(users, np.arange(n_users + 1)), items)

    def of(self, users: Ids) -> tuple[torch.Tensor, torch.Tensor]:
        """Return, for a batch of users, the rows in the batch and the items of all their lists."""
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
    """RecBole's loader, built and read by array operations.

    ``uid2positive_item`` and ``uid2history_item`` are indexed by user id as RecBole's are.
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
        """Return a batch of users with the (row, item) pairs of their histories and of their positives."""
        if self.is_sequential:
            return super().collate_fn(index)
        rows = np.asarray(index)
        users = self.uid_list.numpy()[rows]
        positive = self.uid2positive_item.of(users)
        return self.user_df[rows], self.uid2history_item.of(users), *positive


def _used_pairs(sampler: Any, users: Ids, n_items: int) -> Ids:
    """Return user * n_items + item for what the sampler may not draw, for `users` at least, ascending."""
    if isinstance(sampler.used_ids, SeenItems):
        return sampler.used_ids.pairs
    used = [sampler.used_ids[user] for user in users]
    lengths = np.fromiter(map(len, used), dtype=np.int64, count=len(used))
    items = np.fromiter(chain.from_iterable(used), dtype=np.int64, count=int(lengths.sum()))
    return np.sort(np.repeat(users, lengths) * n_items + items)


class ListCollector(Collector):  # type: ignore[misc]
    """RecBole's collector for top-k metrics in linear time.

    RecBole concatenates all that it has at every batch, and marks positives in a table of users x items.
    Here batches are kept in a list, and the top k are looked up among the positives.
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
        """Collect a batch's top items and hits; what other metrics need is collected as RecBole does."""
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
        """Return what was collected, each batch after the other, and forget it.

        RecBole moves all that it has to the CPU, and so fails at the counts of items and users that its
        metrics of coverage and popularity need; those are no tensors.
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
    """Return (n_users, k) int64 items, best first; 0, the padding, where nothing is left to recommend."""
    best, top = torch.topk(scores, k, dim=-1)
    return top.masked_fill(best == -torch.inf, 0)  # RecBole would go on with the masked history


def hits_of(
    top: torch.Tensor, positive_u: torch.Tensor, positive_i: torch.Tensor, n_items: int
) -> torch.Tensor:
    """Return (n_users, k + 1) int32: which of the top k are positives, and how many positives there are."""
    pairs = torch.unique(positive_u.to(top.device) * n_items + positive_i.to(top.device))
    rows = torch.arange(len(top), device=top.device).unsqueeze(1)
    wanted = rows * n_items + top
    # Behind the last pair stands -1, which no pair is: what sorts behind all of them is no hit.
    hit = F.pad(pairs, (0, 1), value=-1)[torch.searchsorted(pairs, wanted)] == wanted
    number = torch.bincount(pairs // n_items, minlength=len(top)).unsqueeze(1)
    return torch.cat([hit.int(), number.int()], dim=1)


class _Lists(DataStruct):  # type: ignore[misc]
    """RecBole's store of results; tensors that come batch by batch are put together once."""

    def __init__(self) -> None:
        super().__init__()
        self._batches: dict[str, list[torch.Tensor]] = {}

    def update_tensor(self, name: str, value: torch.Tensor) -> None:
        """Keep a batch."""
        self._batches.setdefault(name, []).append(value.detach().clone())

    def join(self) -> None:
        """Put the batches of each name together."""
        for name, batches in self._batches.items():
            self._data_dict[name] = torch.cat(batches)
        self._batches = {}
