"""A vector table: item tokens, their vectors, and a card that says where both come from.

Two files hold the same thing: ``<name>.safetensors`` (binary, half or single precision) and
``<dataset>.itememb`` (the text form that RecBole can read too). The card lies beside each.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.writing import replacing

ITEMEMB = "itememb"  # the suffix of the text form, and the value of `llm_embedding` that asks for it
_HEADER = "iid:token\tllm_emb:float_seq"
_DTYPES = {"float16": "F16", "float32": "F32"}  # NumPy's name and safetensors'
_ROWS = 65_536  # vectors looked at together


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class VectorTable:
    """Item tokens (n_items,) and vectors (n_items, d_llm), float16 or float32, row by row."""

    ids: tuple[str, ...]
    vectors: npt.NDArray[np.floating]
    card: Card | None

    @classmethod
    def build(cls, ids: tuple[str, ...], vectors: npt.NDArray[np.floating], card: Card) -> VectorTable:
        """Check ids against vectors and complete the card with what they are.

        Raises:
            UserError: If they don't fit each other, an id is repeated or a value is not finite.
        """
        if vectors.ndim != 2 or len(vectors) != len(ids) or not vectors.shape[1]:
            raise UserError(f"vectors of shape {vectors.shape} don't fit {len(ids)} ids: one row per id")
        if len(set(ids)) != len(ids):
            twice = next(i for i in ids if ids.count(i) > 1)
            raise UserError(f"item '{twice}' occurs more than once among the ids")
        if bad := [i for i in ids if not i or any(c in i for c in "\t\r\n")]:
            raise UserError(f"id {bad[0]!r} is empty or holds a tab or a line break")
        if vectors.dtype.name not in _DTYPES:
            with np.errstate(over="ignore"):  # what is too large is infinite, and named below
                vectors = vectors.astype(np.float32)
        for start in range(0, len(vectors), _ROWS):
            finite = np.isfinite(vectors[start : start + _ROWS]).all(axis=1)
            if not finite.all():
                row = start + int(np.flatnonzero(~finite)[0])
                raise UserError(f"the vector of item '{ids[row]}' holds NaN or infinity")
        facts = replace(
            card,
            dtype=vectors.dtype.name,
            dim=vectors.shape[1],
            items=len(ids),
            vectors_sha256=vectors_hash(ids, vectors),
        )
        return cls(ids, vectors, facts)


def vectors_hash(ids: tuple[str, ...], vectors: npt.NDArray[np.floating]) -> str:
    """Return the SHA-256 of the ids, line by line, and of the vectors' little-endian bytes."""
    digest = hashlib.sha256("\n".join(ids).encode("utf-8") + b"\n")
    for start in range(0, len(vectors), _ROWS):  # the vectors may be larger than memory
        rows = vectors[start : start + _ROWS]
        digest.update(np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def card_path(file: Path) -> Path:
    """Return where a table's card lies: ``x.json`` for binary, ``x.itememb.json`` for text."""
    return file.with_name(file.name + ".json") if file.suffix == f".{ITEMEMB}" else file.with_suffix(".json")


def save(table: VectorTable, file: Path) -> None:
    """Write a table and its card in the form the file's suffix names; never leave half a file.

    Raises:
        UserError: If another file that is no card lies where the card would go.
    """
    if file.suffix == f".{ITEMEMB}" and table.card:  # text is read back in single precision
        table = VectorTable.build(table.ids, table.vectors.astype(np.float32), table.card)
    if card_path(file).is_file():
        _parse_card(card_path(file))  # not ours to overwrite, if it is something else
    with replacing(file) as temporary:
        (_write_text if file.suffix == f".{ITEMEMB}" else _write_binary)(table, temporary)
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
    ids, vectors = _read_text(file) if file.suffix == f".{ITEMEMB}" else _read_binary(file)
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
    if not path.is_file():
        if file.suffix == f".{ITEMEMB}":
            return None  # made for RecBole by another tool
        raise UserError(f"{file} has no card: {path} does not exist; encode the items again")
    return _parse_card(path)


def _parse_card(path: Path) -> Card:
    try:
        return Card(**json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is not the card of a vector table: {error}") from None


def _write_binary(table: VectorTable, file: Path) -> None:
    """Write the safetensors format row block by row block; the library's own writer copies it whole."""
    ids = "\n".join(table.ids).encode("utf-8")
    size = table.vectors.size * table.vectors.dtype.itemsize
    described = {
        "vectors": {
            "dtype": _DTYPES[table.vectors.dtype.name],
            "shape": list(table.vectors.shape),
            "data_offsets": [0, size],
        },
        "ids": {"dtype": "U8", "shape": [len(ids)], "data_offsets": [size, size + len(ids)]},
    }
    header = json.dumps(described).encode()
    header += b" " * (-len(header) % 8)  # aligns the vectors
    with file.open("wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        for start in range(0, len(table.vectors), _ROWS):
            rows = table.vectors[start : start + _ROWS]
            out.write(np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<")).data)
        out.write(ids)


def _read_binary(file: Path) -> tuple[tuple[str, ...], npt.NDArray[np.floating]]:
    """Read the ids, and map the vectors into memory instead of reading them."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length < file.stat().st_size:
                raise ValueError("no header")
            header = json.loads(stream.read(length))
            start, stop = header["ids"]["data_offsets"]
            stream.seek(8 + length + start)
            ids = stream.read(stop - start).decode("utf-8")
        told = header["vectors"]
        kind = next(name for name, code in _DTYPES.items() if code == told["dtype"])
        vectors = np.memmap(
            file,
            np.dtype(kind).newbyteorder("<"),
            "r",
            8 + length + told["data_offsets"][0],
            tuple(told["shape"]),
        )
    except (KeyError, ValueError, TypeError, StopIteration) as error:
        raise UserError(f"{file} is not a vector table: {error!r}") from None
    return tuple(ids.split("\n")), vectors


def _write_text(table: VectorTable, file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.write(_HEADER + "\n")
        for token, row in zip(table.ids, table.vectors.astype(np.float32), strict=True):
            out.write(f"{token}\t{' '.join(format(value, '.9g') for value in row)}\n")


def _read_text(file: Path) -> tuple[tuple[str, ...], npt.NDArray[np.floating]]:
    ids: list[str] = []
    rows: list[npt.NDArray[np.float32]] = []
    with file.open(encoding="utf-8") as lines:
        if (header := next(lines, "").rstrip("\n")) != _HEADER:
            raise UserError(f"{file} starts with {header!r}; expected {_HEADER!r}")
        for number, line in enumerate(lines, start=2):
            token, _, values = line.rstrip("\n").partition("\t")
            try:
                row = np.array(values.split(), dtype=np.float32)
            except ValueError as error:
                raise UserError(f"{file}, line {number}: {error}") from None
            if rows and len(row) != len(rows[0]):
                raise UserError(f"{file}, line {number}: {len(row)} numbers, expected {len(rows[0])}")
            ids.append(token)
            rows.append(row)
    if not rows:
        raise UserError(f"{file} holds no vectors")
    return tuple(ids), np.stack(rows)
