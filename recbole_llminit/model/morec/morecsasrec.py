"""MoRecSASRec: SASRec on items computed from text.

Yuan et al., "Where to Go Next for Recommender Systems? ID- vs. Modality-based Recommender Models
Revisited", SIGIR 2023 (arXiv 2303.13835).
"""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.sequential_recommender.sasrec import SASRec

from recbole_llminit.model.morec.items import text_items
from recbole_llminit.nn.text_projection import TextItems


class MoRecSASRec(SASRec):  # type: ignore[misc]
    """RecBole's SASRec with the items of histories and candidates computed from their text.

    ``loss_type`` chooses the loss as in SASRec: CE over all items, or BPR with one negative. The paper uses
    binary cross-entropy with one negative at every position of the history, whereas RecBole makes one
    training example of each position.

    Reads the keys of `text_items` and RecBole's SASRec.

    Raises:
        UserError: If a key has a wrong value, or the vectors do not belong to the dataset.
    """

    item_embedding: TextItems  # until the end of the constructor, SASRec's table

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.item_embedding = text_items(config, dataset, self.item_embedding)
        self.llm_vectors_hash = self.item_embedding.table

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        """Return SASRec's loss, with histories and candidates from one computation of the item vectors."""
        with self.item_embedding.once():
            loss: torch.Tensor = super().calculate_loss(interaction)
            return loss

    def predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of a batch of pairs of a history and an item: (batch,)."""
        with self.item_embedding.once():
            scores: torch.Tensor = super().predict(interaction)
            return scores

    def full_sort_predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of all items for a batch of histories: (batch, n_items)."""
        with self.item_embedding.once():
            scores: torch.Tensor = super().full_sort_predict(interaction)
            return scores
