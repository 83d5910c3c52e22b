"""Item vectors that are computed from frozen text vectors instead of looked up in an embedding table.

Yuan et al., "Where to Go Next for Recommender Systems? ID- vs. Modality-based Recommender Models
Revisited" (MoRec), SIGIR 2023 (arXiv 2303.13835), in the two-stage variant, which does not train the text
encoder. The host model is the RecBole model whose ``item_embedding`` is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
import torch.nn.functional as F
from recbole.model.init import xavier_normal_initialization
from torch import nn

from recbole_llminit.initialize.projection import Matrix
from recbole_llminit.utils.errors import UserError


class Fusion(str, Enum):
    """What an item's vector is computed from."""

    NONE = "none"  # the item's text vector alone
    ADD = "add"  # the projected text vector plus a trained vector of the item's id
    CONCAT = "concat"  # the two concatenated and mapped back to width d by a linear layer


@dataclass(frozen=True)
class Shape:
    """The architecture of a projection.

    Attributes:
        layers: Number of blocks of [dropout, linear, GELU] after the dense layer.
        dropout: Share of the values that a block drops in training.
        fusion: What an item's vector is computed from.
    """

    layers: int
    dropout: float
    fusion: Fusion


class TextItems(nn.Module):  # type: ignore[misc]
    """A replacement for the host model's ``item_embedding``, with the same call and ``weight`` (n_items, d).

    v = blocks(fuse(GELU(W t + b))) for a text vector t, with blocks of [dropout, linear, GELU]. The
    padding row is zero whatever the biases. One thing differs from the published two-stage code: if ids
    are fused, an item without training interactions is computed from its text alone, because its id
    vector is untrained; the published code uses the random id vector.

    The text vectors are not part of the state. A checkpoint holds the hash of their table instead, and
    loading it with other vectors is refused.

    Args:
        text: (n_items, d_llm) float32 by RecBole id; the first row is padding.
        ids: The host model's table (n_items, d), which gives d, and the id vectors if they are fused.
        seen: (n_items,) bool, whether an item has training interactions.
        shape: The architecture of the projection.
        table: Hash of the vector table, hexadecimal, or None if the table has no card.
    """

    def __init__(
        self,
        text: Matrix,
        ids: nn.Embedding,
        seen: np.ndarray,
        shape: Shape,
        table: str | None = None,
    ) -> None:
        super().__init__()
        width, fused = ids.embedding_dim, shape.fusion is not Fusion.NONE
        self.table = table
        self.register_buffer("text", torch.from_numpy(text[1:]), persistent=False)
        self.dense = nn.Sequential(nn.Linear(text.shape[1], width), nn.GELU())
        self.merge = nn.Linear(2 * width, width) if shape.fusion is Fusion.CONCAT else None
        self.blocks = nn.Sequential(*(_block(width, shape.dropout) for _ in range(shape.layers)))
        self.apply(xavier_normal_initialization)
        for _, linear, _ in self.blocks:  # GELU halves small values: at gain 1 eight blocks leave 1/256
            nn.init.xavier_normal_(linear.weight, gain=2)
        self.ids = ids if fused else None  # assigned after `apply`, to keep its initial values
        self.register_buffer("seen", torch.from_numpy(seen[1:, None]) if fused else None, persistent=False)
        self._held: torch.Tensor | None = None

    @property
    def weight(self) -> torch.Tensor:
        """The vectors of all items, (n_items, d)."""
        return self._computed() if self._held is None else self._held

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of ids (...), (..., d)."""
        return F.embedding(ids, self.weight)

    @contextmanager
    def once(self) -> Iterator[None]:
        """Compute the vectors once for all uses within the context, with one dropout mask.

        In evaluation without gradients they are also kept for the next context, because a full ranking has
        many batches.
        """
        if self._held is None:
            self._held = self._computed()
        try:
            yield
        finally:
            if self.training or torch.is_grad_enabled():
                self._held = None

    def train(self, mode: bool = True) -> TextItems:
        """Switch between training and evaluation, and discard the vectors that are kept."""
        self._held = None
        return super().train(mode)  # type: ignore[no-any-return]

    def _computed(self) -> torch.Tensor:
        vectors = self.dense(self.text)
        if self.ids is not None:
            own = self.ids.weight[1:] * self.seen
            vectors = vectors + own if self.merge is None else self.merge(torch.cat([own, vectors], dim=1))
        return F.pad(self.blocks(vectors), (0, 0, 1, 0))

    def get_extra_state(self) -> torch.Tensor:
        """Return the vector table's hash for the checkpoint: (32,) uint8, or (0,) if there is no card."""
        return torch.tensor(list(bytes.fromhex(self.table or "")), dtype=torch.uint8)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Compare the hash of a checkpoint's vector table with the hash of this run's.

        Raises:
            UserError: If they differ.
        """
        self._held = None  # computed with the parameters before loading
        trained, here = bytes(state.tolist()).hex(), self.table or ""
        if trained != here:
            raise UserError(
                f"the checkpoint was trained on other vectors (hash {trained[:12] or 'unknown'}) than "
                f"llm_embedding names ({here[:12] or 'unknown'}); put back the table it was trained on"
            )


def _block(width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(width, width), nn.GELU())
