"""A vector table: item tokens, their vectors, and a card that says where both come from.

Two files hold the same thing: ``<name>.safetensors`` (binary, half or single precision) and
``<dataset>.itememb`` (the text form that RecBole can read too). The card lies beside each.
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

ITEMEMB = "itememb"  # the suffix of the text form, and the value of `llm_embedding` that asks for it


@dataclass(frozen=True, config=STRICT)
class Card:
    """What made a table. The hashes tie it to the texts and to the vectors."""

    encoder: str
    revision: str | None = None  # of the encoder
    template: str | None = None  # over the columns of the .item file; null for a matrix brought in
    pooling: str | None = None  # how the encoder turns tokens into one vector
    prompt: str | None = None
    max_length: int | None = None  # tokens after which the encoder cuts a text
    own_limit: bool = True  # the encoder's own limit, not one that was given
    precision: str | None = None  # in which the encoder computed
    base_url: str | None = None  # of the endpoint that encoded
    selection: str | None = None  # how dimensions were selected, if not all are here
    selected_from: str | None = None  # hash of the vectors they were selected from
    dtype: str = "float32"
    dim: int = 0
    items: int = 0
    texts_sha256: str | None = None  # of the texts in id order; null: texts not verified
    vectors_sha256: str = ""  # of the ids and the vectors
    coverage: dict[str, float] = field(default_factory=dict)  # share of items with each text field
    command: str = ""


@dataclasses.dataclass(frozen=True)
class VectorTable:
    """Item tokens (n_items,) and vectors (n_items, d_llm), float16 or float32, row by row."""

    ids: tuple[str, ...]
    vectors: Matrix
    card: Card | None

    @classmethod
    def build(cls, ids: tuple[str, ...], vectors: Matrix, card: Card) -> VectorTable:
        """Check ids against vectors and complete the card with what they are.

        Raises:
            UserError: If they don't fit each other, an id is repeated or a value is not finite.
        """
        if vectors.ndim != 2 or len(vectors) != len(ids) or not vectors.shape[1]:
            raise UserError(f"vectors of shape {vectors.shape} don't fit {len(ids)} ids: one row per id")
        _check_ids(ids)
        if vectors.dtype.name not in forms.DTYPES:
            with np.errstate(over="ignore"):  # what is too large is infinite, and named below
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
    """Return the SHA-256 of the ids, line by line, and of the vectors' little-endian bytes."""
    digest = hashlib.sha256("\n".join(ids).encode("utf-8") + b"\n")
    for rows in forms.blocks(vectors):
        digest.update(forms.little_endian(rows))
    return digest.hexdigest()


def card_path(file: Path) -> Path:
    """Return where a table's card lies: ``x.json`` for binary, ``x.itememb.json`` for text."""
    return file.with_name(file.name + ".json") if _is_text(file) else file.with_suffix(".json")


def save(table: VectorTable, file: Path) -> None:
    """Write a table and its card in the form the file's suffix names; never leave half a file.

    Raises:
        UserError: If another file that is no card lies where the card would go.
    """
    if _is_text(file) and table.card:  # text is read back in single precision
        table = VectorTable.build(table.ids, table.vectors.astype(np.float32), table.card)
    if card_path(file).is_file():
        _read_card(card_path(file))  # not ours to overwrite, if it is something else
    with replacing(file) as temporary:
        (forms.write_text if _is_text(file) else forms.write_binary)(table.ids, table.vectors, temporary)
    with replacing(card_path(file)) as temporary:
        card = asdict(table.card) if table.card else {}
        temporary.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load(file: Path) -> VectorTable:
    """Read a table in either form and check the vectors against the card.

    Raises:
        UserError: If a file is missing, unreadable, or not what its card says.
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
    """Return a table's card without reading the table; None for the text form without one.

    Raises:
        UserError: If the binary form has none, or the file in its place is no card.
    """
    path = card_path(file)
    if path.is_file():
        return _read_card(path)
    if _is_text(file):
        return None  # made for RecBole by another tool
    raise UserError(f"{file} has no card: {path} does not exist; encode the items again")


def _read_card(path: Path) -> Card:
    return read_json(Card, path, "the card of a vector table")


def _is_text(file: Path) -> bool:
    return file.suffix == f".{ITEMEMB}"
