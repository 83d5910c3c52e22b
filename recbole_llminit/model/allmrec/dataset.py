"""RecBole's sequential dataset, with the training positions that A-LLMRec learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from recbole.data.dataset import SequentialDataset

from recbole_llminit.model.allmrec.settings import Positions


class BridgeDataset(SequentialDataset):  # type: ignore[misc]
    """The same vocabulary, split and held-out rows; of the training rows, those that a key asks for.

    The training part knows ``item_degrees`` (n_items,): how often each item occurs in the training
    interactions, all of them, whatever rows are kept.
    """

    def build(self) -> list[Any]:
        """Return the training, validation and test parts."""
        train, *held_out = super().build()
        train.item_degrees = _degrees(train)
        if self.config["allmrec_positions"] == Positions.LAST.value:
            train.inter_feat = train.inter_feat[last_rows(train.inter_feat[self.uid_field].numpy())]
        return [train, *held_out]


class RankerDataset(BridgeDataset):
    """`BridgeDataset` with, of each part, the rows of some users: one random order of all, cut.

    The paper trains on few users to study that, and its code tests on 10,000 at most.
    """

    def build(self) -> list[Any]:
        """Return the training, validation and test parts."""
        parts = super().build()
        order = np.random.default_rng(self.config["seed"]).permutation(np.arange(1, self.user_num))
        most = [self.config[f"allmrec_{kind}_users"] for kind in ("train", "eval", "eval")]
        for part, number in zip(parts, most, strict=True):
            kept = np.isin(part.inter_feat[self.uid_field].numpy(), order[:number])
            part.inter_feat = part.inter_feat[np.flatnonzero(kept)]
        return parts


def last_rows(users: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the last row of each user, in order of the rows; a user's rows are in order of time."""
    _, from_the_end = np.unique(users[::-1], return_index=True)
    return np.sort(len(users) - 1 - from_the_end)


def _degrees(train: Any) -> torch.Tensor:
    """Count each item: targets of rows, and the first item of each sequence, which is no target."""
    rows = train.inter_feat
    starts = rows[train.item_list_length_field] == 1
    first = rows[train.iid_field + train.config["LIST_SUFFIX"]][starts][:, 0]
    items = torch.cat([rows[train.iid_field], first])
    return torch.bincount(items, minlength=train.item_num)
