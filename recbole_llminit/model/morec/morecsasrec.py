"""MoRecSASRec: SASRec over items computed from text.

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
    """RecBole's SASRec whose histories and candidates are items computed from their text.

    The loss is SASRec's ``loss_type``: CE over all items, or BPR with one negative. The paper's is
    binary cross-entropy with one negative at every position of the history; RecBole cuts a history
    into one example for each position instead.

    Raises:
        UserError: If a key or the vectors are wrong.
    """

    item_embedding: TextItems  # the host's table until the constructor ends

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.item_embedding = text_items(config, dataset, self.item_embedding)
        self.llm_vectors_hash = self.item_embedding.table

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        """Return SASRec's loss; history and candidates are taken from one table."""
        with self.item_embedding.once():
            loss: torch.Tensor = super().calculate_loss(interaction)
            return loss

    def predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of a batch of histories and items: (batch,)."""
        with self.item_embedding.once():
            scores: torch.Tensor = super().predict(interaction)
            return scores

    def full_sort_predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of all items for a batch of histories: (batch, n_items)."""
        with self.item_embedding.once():
            scores: torch.Tensor = super().full_sort_predict(interaction)
            return scores
