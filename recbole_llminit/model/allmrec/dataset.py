"""RecBole's sequential dataset, restricted to the training positions that A-LLMRec learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from recbole.data.dataset import SequentialDataset

from recbole_llminit.model.allmrec.settings import Positions


class BridgeDataset(SequentialDataset):  # type: ignore[misc]
    """A sequential dataset whose training part keeps the positions that ``allmrec_positions`` names.

    Vocabulary, split, validation and test rows are RecBole's. The training part has an attribute
    ``item_degrees``, (n_items,) int64: how often each item occurs in all training interactions, whichever
    rows are kept.
    """

    def build(self) -> list[Any]:
        """Return the training, validation and test parts."""
        train, *held_out = super().build()
        train.item_degrees = _degrees(train)
        if self.config["allmrec_positions"] == Positions.LAST.value:
            train.inter_feat = train.inter_feat[last_rows(train.inter_feat[self.uid_field].numpy())]
        return [train, *held_out]


class RankerDataset(BridgeDataset):
    """A `BridgeDataset` whose parts keep the rows of some users: the first of one random order of all users.

    The paper studies training on few users, and its code tests on at most 10,000. Reads
    `allmrec_positions`, `allmrec_train_users`, `allmrec_eval_users` and `seed`.
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
    """Return the ascending indices of each user's last row, given `users`, (n_rows,) in order of time."""
    _, from_the_end = np.unique(users[::-1], return_index=True)
    return np.sort(len(users) - 1 - from_the_end)


def _degrees(train: Any) -> torch.Tensor:
    """Count each item's training interactions, (n_items,), from the rows of the training part.

    They are the target items of the rows and the first item of each sequence, which is the target of none.
    """
    rows = train.inter_feat
    starts = rows[train.item_list_length_field] == 1
    first = rows[train.iid_field + train.config["LIST_SUFFIX"]][starts][:, 0]
    items = torch.cat([rows[train.iid_field], first])
    return torch.bincount(items, minlength=train.item_num)
