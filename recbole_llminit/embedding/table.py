"""Vector tables: item tokens, their vectors, and a card that records what made them.

There are two file formats for the same content: ``<name>.safetensors`` (binary, half or single precision) and
``<dataset>.itememb`` (text, which RecBole can read too). The card is a file beside the table.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from dataclasses import asdict, field, replace
from pathlib import Path

import numpy as np
from pydantic.dataclasses import dataclass

from recbole_llminit.embedding import forms
from recbole_llminit.embedding.forms import Matrix
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.schema import STRICT, read_json
from recbole_llminit.utils.writing import replacing

ITEMEMB = "itememb"  # the suffix of the text format, and the value of `llm_embedding` that selects it


@dataclass(frozen=True, config=STRICT)
class Card:
    """The record of what made a table, with hashes of its texts and of its vectors."""

    encoder: str
    revision: str | None = None  # of the encoder
    template: str | None = None  # of the texts; null if they are not known
    pooling: str | None = None  # how the encoder turns tokens into one vector
    prompt: str | None = None  # text put before each item's text
    max_length: int | None = None  # tokens after which the encoder cuts a text
    own_limit: bool = True  # whether max_length is the encoder's limit, not the user's choice
    precision: str | None = None  # in which the encoder computed
    base_url: str | None = None  # of the endpoint that encoded
    selection: str | None = None  # how dimensions were selected, and how many; null if all are kept
    selected_from: str | None = None  # hash of the vectors with all dimensions
    dtype: str = "float32"
    dim: int = 0
    items: int = 0
    texts_sha256: str | None = None  # of the texts in the order of the ids; null: texts not verified
    vectors_sha256: str = ""  # of the ids and the vectors
    coverage: dict[str, float] = field(default_factory=dict)  # share of items with a value, by field
    command: str = ""  # that made the table


@dataclasses.dataclass(frozen=True)
class VectorTable:
    """Item tokens (n_items,), the vector of each (n_items, d_llm), float16 or float32, and a card if any."""

    ids: tuple[str, ...]
    vectors: Matrix
    card: Card | None

    @classmethod
    def build(cls, ids: tuple[str, ...], vectors: Matrix, card: Card) -> VectorTable:
        """Check ids and vectors, and return their table with their size and hash on the card.

        Raises:
            UserError: If the numbers of ids and rows differ, an id is repeated or malformed, or a value
                is not finite.
        """
        if vectors.ndim != 2 or len(vectors) != len(ids) or not vectors.shape[1]:
            raise UserError(f"vectors of shape {vectors.shape} don't fit {len(ids)} ids: one row per id")
        _check_ids(ids)
        if vectors.dtype.name not in forms.DTYPES:
            with np.errstate(over="ignore"):  # too large values become infinite and are refused below
                vectors = vectors.astype(np.float32)
        _check_finite(ids, vectors)
        facts = replace(
            card,
            dtype=vectors.dtype.name,
            dim=vectors.shape[1],
            items=len(ids),
            vectors_sha256=vectors_hash(ids, vectors),
        )
        return cls(ids, vectors, facts)


def _check_ids(ids: tuple[str, ...]) -> None:
    if len(set(ids)) != len(ids):
        twice = next(token for token, times in Counter(ids).items() if times > 1)
        raise UserError(f"item '{twice}' occurs more than once among the ids")
    if bad := [token for token in ids if not token or any(c in token for c in "\t\r\n")]:
        raise UserError(f"id {bad[0]!r} is empty or holds a tab or a line break")


def _check_finite(ids: tuple[str, ...], vectors: Matrix) -> None:
    row = 0
    for rows in forms.blocks(vectors):
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            token = ids[row + int(np.flatnonzero(~finite)[0])]
            raise UserError(f"the vector of item '{token}' holds NaN or infinity")
        row += len(rows)


def vectors_hash(ids: tuple[str, ...], vectors: Matrix) -> str:
    """Return the SHA-256 of the ids, one per line, followed by the vectors' little-endian bytes."""
    digest = hashlib.sha256("\n".join(ids).encode("utf-8") + b"\n")
    for rows in forms.blocks(vectors):
        digest.update(forms.little_endian(rows))
    return digest.hexdigest()


def card_path(file: Path) -> Path:
    """Return the path of a table's card: ``x.json`` or, for the text format, ``x.itememb.json``."""
    return file.with_name(file.name + ".json") if _is_text(file) else file.with_suffix(".json")


def save(table: VectorTable, file: Path) -> None:
    """Write a table and its card atomically, in the format that the file's suffix names.

    Raises:
        UserError: If there is a file in the card's place that is not a card.
    """
    if _is_text(file) and table.card:  # text is read back in single precision
        table = VectorTable.build(table.ids, table.vectors.astype(np.float32), table.card)
    if card_path(file).is_file():
        _read_card(card_path(file))  # raises an error if this is another file, instead of replacing it
    with replacing(file) as temporary:
        (forms.write_text if _is_text(file) else forms.write_binary)(table.ids, table.vectors, temporary)
    with replacing(card_path(file)) as temporary:
        card = asdict(table.card) if table.card else {}
        temporary.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load(file: Path) -> VectorTable:
    """Read a table in either format, and compare its vectors with the hash on the card.

    Raises:
        UserError: If a file is missing or unreadable, or if the table does not match its card.
    """
    if not file.is_file():
        raise UserError(f"no vector table: {file} does not exist")
    ids, vectors = (forms.read_text if _is_text(file) else forms.read_binary)(file)
    card = card_of(file)
    if card and card.vectors_sha256 != (actual := vectors_hash(ids, vectors)):
        raise UserError(
            f"{file} is not what its card describes (vectors {actual[:12]}, card "
            f"{card.vectors_sha256[:12]}); make it again: {card.command or 'recbole-llminit encode'}"
        )
    return VectorTable(ids, vectors, card)


def card_of(file: Path) -> Card | None:
    """Return a table's card without reading the table; None for a text table without a card.

    Raises:
        UserError: If a binary table has no card, or if the file in the card's place is not one.
    """
    path = card_path(file)
    if path.is_file():
        return _read_card(path)
    if _is_text(file):
        return None  # another program may have made the table for RecBole
    raise UserError(f"{file} has no card: {path} does not exist; encode the items again")


def _read_card(path: Path) -> Card:
    return read_json(Card, path, "the card of a vector table")


def _is_text(file: Path) -> bool:
    return file.suffix == f".{ITEMEMB}"
