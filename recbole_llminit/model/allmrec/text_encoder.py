"""The text encoder of A-LLMRec's first stage, for runs that train it with the rest of the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from recbole_llminit.dataset.items import read_items, texts_in_order
from recbole_llminit.dataset.places import atomic_file
from recbole_llminit.embedding.encoder import sentence_transformer
from recbole_llminit.embedding.load import find_table
from recbole_llminit.embedding.table import card_of
from recbole_llminit.utils.errors import UserError

_BATCH = 64  # texts that are encoded together when no gradient is needed


class TextEncoder(nn.Module):  # type: ignore[misc]
    """A sentence-transformers model that encodes the items' texts by item id.

    Some methods of sentence-transformers have other names since version 6.0; both names are tried.

    Args:
        encoder: The model's name on the Hugging Face hub, or the folder that holds it.
        texts: (n_items,) by id; empty for the padding and for an item without a text.
        max_length: The largest number of tokens of a text, or None for the model's limit.

    Raises:
        ImportError: If sentence-transformers is not installed.
        UserError: If there is no such model.
    """

    def __init__(self, encoder: str, texts: Sequence[str], max_length: int | None = None) -> None:
        super().__init__()
        self.model = sentence_transformer(encoder, device="cpu", quiet=True).float()
        if max_length:
            self.model.max_seq_length = max_length
        self.texts = tuple(texts)
        self.register_buffer("known", torch.tensor([bool(text) for text in texts]), persistent=False)

    @property
    def width(self) -> int:
        """The number of dimensions of a vector, d_llm."""
        model = self.model
        return int(
            (getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension)()
        )

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of ids (n,): (n, d_llm), with gradient; a repeated id is encoded once."""
        distinct, place = ids.unique(return_inverse=True)
        prepare = getattr(self.model, "preprocess", None) or self.model.tokenize
        inputs = prepare([self.texts[i] for i in distinct.tolist()])
        inputs = {k: v.to(ids.device) if isinstance(v, torch.Tensor) else v for k, v in inputs.items()}
        vectors: torch.Tensor = self.model(inputs)["sentence_embedding"][place]
        return vectors

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def table(self, otherwise: torch.Tensor) -> torch.Tensor:
        """Return the vectors of all items, (n_items, d_llm), with the rows of `otherwise` for empty texts."""
        table = otherwise.clone()
        parts = self.known.nonzero()[:, 0].split(_BATCH)
        for ids in tqdm(parts, desc="item texts", unit="batch", leave=False, disable=len(parts) < 20):
            table[ids] = self(ids)
        return table


def item_texts(config: Any, dataset: Any) -> tuple[list[str], int | None]:
    """Return the items' texts by RecBole's id, and the largest number of tokens of a text (None: no limit).

    Prompt and limit are those on the card of the vectors, and so is the template if ``allmrec_text`` is
    unset. Reads `allmrec_text`, `llm_embedding`, `dataset`, `data_path` and `ITEM_ID_FIELD`.

    Raises:
        UserError: If neither the key nor the card gives a template, or if there is no ``.item`` file.
    """
    file = find_table(config)
    card = card_of(file)
    template = config["allmrec_text"] or (card.template if card else None)
    if template is None:
        raise UserError(
            f"allmrec_text_encoder: the card of {file} has no template; set allmrec_text to one, such as "
            "'{title}. {brand}'"
        )
    items = read_items(atomic_file(Path(config["data_path"]), "item"), config["ITEM_ID_FIELD"])
    texts = texts_in_order(items, template, dataset.field2id_token[dataset.iid_field])
    prompt = (card.prompt if card else None) or ""
    return [text and prompt + text for text in texts], card.max_length if card else None
