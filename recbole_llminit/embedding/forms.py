"""Read and write the two file formats of a vector table: binary (safetensors), and RecBole's text format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recbole_llminit.utils.errors import UserError

Matrix = npt.NDArray[np.floating]
DTYPES = {"float16": "F16", "float32": "F32"}  # NumPy's name and safetensors'
_HEADER = "iid:token\tllm_emb:float_seq"
_ROWS = 65_536  # rows per block, because a matrix may be larger than memory


def blocks(vectors: Matrix) -> Iterator[Matrix]:
    """Yield the rows of a matrix in blocks of `_ROWS`."""
    for start in range(0, len(vectors), _ROWS):
        yield vectors[start : start + _ROWS]


def little_endian(rows: Matrix) -> memoryview:
    """Return the bytes of rows in little-endian order, which the binary format has."""
    return np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<")).data


def write_binary(ids: tuple[str, ...], vectors: Matrix, file: Path) -> None:
    """Write a safetensors file block by block, because the library's writer copies the whole matrix."""
    tokens = "\n".join(ids).encode("utf-8")
    size = vectors.size * vectors.dtype.itemsize
    described = {
        "vectors": {
            "dtype": DTYPES[vectors.dtype.name],
            "shape": list(vectors.shape),
            "data_offsets": [0, size],
        },
        "ids": {"dtype": "U8", "shape": [len(tokens)], "data_offsets": [size, size + len(tokens)]},
    }
    header = json.dumps(described).encode()
    header += b" " * (-len(header) % 8)  # aligns the vectors to 8 bytes
    with file.open("wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        for rows in blocks(vectors):
            out.write(little_endian(rows))
        out.write(tokens)


def read_binary(file: Path) -> tuple[tuple[str, ...], Matrix]:
    """Read the ids of a binary table, and memory-map its vectors instead of reading them.

    Raises:
        UserError: If the file is not a table that :func:`write_binary` wrote.
    """
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
        kind = np.dtype(next(name for name, code in DTYPES.items() if code == told["dtype"]))
        offset, shape = 8 + length + told["data_offsets"][0], tuple(told["shape"])
        vectors = np.memmap(file, kind.newbyteorder("<"), "r", offset, shape)
    except (KeyError, ValueError, TypeError, StopIteration) as error:
        raise UserError(f"{file} is not a vector table: {error!r}") from None
    return tuple(ids.split("\n")), vectors


def write_text(ids: tuple[str, ...], vectors: Matrix, file: Path) -> None:
    """Write a table in RecBole's text format, in single precision."""
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.write(_HEADER + "\n")
        for token, row in zip(ids, vectors.astype(np.float32), strict=True):
            out.write(f"{token}\t{' '.join(format(value, '.9g') for value in row)}\n")


def read_text(file: Path) -> tuple[tuple[str, ...], Matrix]:
    """Read a table in RecBole's text format.

    Raises:
        UserError: If a line is malformed, with its number, or if the file has no vectors.
    """
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
