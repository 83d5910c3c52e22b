"""TextProfile: recommend what reads like what a user had. It has no parameters."""

from __future__ import annotations

from typing import Any

import torch

from recbole_llminit.model.closed_form import Traditional


class TextProfile(Traditional):
    """Score an item by its text vector times the mean text vector of the user's training interactions.

    The vectors are centred over the items and have length 1. This is the baseline of what the text alone
    knows; a user without training interactions scores every item 0.

    Reads the keys of `Traditional`.

    Raises:
        UserError: If a key or the vectors are wrong.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.register_buffer("item_text", torch.from_numpy(self.text))

    def profiles(self, interaction: Any) -> torch.Tensor:
        """Return the mean text of what each user of a batch had: (batch, d_llm)."""
        rows = self.history(interaction)
        totals = (rows @ torch.ones(self.n_items, 1, device=self.device)).clamp_min(1)
        return (rows @ self.item_text) / totals

    def full_sort_predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of all items for a batch of users: (batch * n_items,)."""
        return (self.profiles(interaction) @ self.item_text.T).view(-1)

    def predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of a batch of users and items: (batch,)."""
        return (self.profiles(interaction) * self.item_text[interaction[self.ITEM_ID]]).sum(dim=1)
