"""Import vectors that another program made, as .npy, Parquet or safetensors."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from recbole_llminit.dataset.items import read_items
from recbole_llminit.embedding.encode import with_texts
from recbole_llminit.embedding.forms import Matrix
from recbole_llminit.embedding.table import Card, VectorTable
from recbole_llminit.utils.errors import UserError


def from_matrix(
    vectors_file: Path,
    ids_file: Path | None,
    *,
    encoder: str,
    template: str | None,
    item_file: Path,
    command: str,
) -> VectorTable:
    """Return a vector table made of a matrix (n_items, d_llm) and the item token of each row.

    Args:
        vectors_file: ``.npy``; ``.safetensors`` with one matrix; or ``.parquet`` with one column of
            lists of numbers, and the tokens in ``item_id`` or the only other column.
        ids_file: Text file whose line i is the token of row i. It may be None for a Parquet file and for
            a safetensors file that this package wrote, whose tokens it replaces otherwise.
        encoder: Name of what made the vectors, for the card.
        template: Template of the texts that the vectors were made from. With it the card records the hash
            of the texts, and every run verifies them; with None it does not.
        item_file: RecBole's ``.item`` file; if it exists, some of its items must be among the tokens.
        command: Command line that the card records.

    Raises:
        UserError: If a file is missing or unreadable, if the number of rows and ids differs, or if the
            tokens belong to other items.
    """
    for file in (vectors_file, *([ids_file] if ids_file else [])):
        if not file.is_file():
            raise UserError(f"{file} does not exist")
    reader = {".parquet": _parquet, ".safetensors": _safetensors}.get(vectors_file.suffix, _npy)
    vectors, own_ids = reader(vectors_file)
    ids = _lines(ids_file) if ids_file else own_ids
    if ids is None:
        raise UserError(f"--from and --ids go together: {vectors_file} does not say which item a row is")
    if not np.issubdtype(vectors.dtype, np.floating):
        raise UserError(f"{vectors_file} holds {vectors.dtype.name}; expected floating point")
    card = Card(encoder=encoder, command=command)
    table = VectorTable.build(ids, vectors, with_texts(card, template, item_file, ids))
    _check_items(table, item_file)
    return table


def _lines(file: Path) -> tuple[str, ...]:
    try:
        return tuple(file.read_text(encoding="utf-8-sig").rstrip("\n").split("\n"))
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text, one item token a line: {error}") from None


def _npy(file: Path) -> tuple[Matrix, None]:
    try:
        vectors = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: expected a .npy matrix, .parquet or .safetensors ({error})") from None
    if not isinstance(vectors, np.ndarray):
        raise UserError(f"{file} holds several arrays; expected one matrix in .npy")
    return vectors, None


def _safetensors(file: Path) -> tuple[Matrix, tuple[str, ...] | None]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise UserError(f"{file} is not a safetensors file: {error}") from None
    matrices = [name for name, tensor in tensors.items() if tensor.ndim == 2]
    if len(matrices) != 1:
        raise UserError(f"{file} holds {len(matrices)} matrices ({', '.join(tensors)}); expected one")
    matrix, ids = tensors[matrices[0]], tensors.get("ids")
    if str(matrix.dtype) == "torch.bfloat16":  # a type that NumPy lacks
        matrix = matrix.float()
    if ids is None or str(ids.dtype) != "torch.uint8":
        return matrix.numpy(), None
    try:
        return matrix.numpy(), tuple(ids.numpy().tobytes().decode().split("\n"))
    except UnicodeDecodeError:
        return matrix.numpy(), None


def _parquet(file: Path) -> tuple[Matrix, tuple[str, ...]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{file} is not a Parquet file: {reason}") from None
    lists = [field.name for field in table.schema if _is_list(field.type)]
    others = [name for name in table.column_names if name not in lists]
    ids = "item_id" if "item_id" in others else others[0] if len(others) == 1 else None
    if len(lists) != 1 or ids is None:
        raise UserError(
            f"{file} has the columns {', '.join(table.column_names)}; expected item_id and one column of "
            "lists of numbers"
        )
    rows = table[lists[0]].combine_chunks()
    widths = set(rows.value_lengths().to_pylist())
    if len(widths) != 1 or rows.null_count:
        raise UserError(f"{file}: the vectors in '{lists[0]}' are missing or of different dimensions")
    vectors = rows.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1)
    try:
        return vectors, tuple(table[ids].cast(pa.string()).to_pylist())
    except pa.ArrowException as error:
        raise UserError(f"{file}: the item tokens in '{ids}' are no text: {error}") from None


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _check_items(table: VectorTable, file: Path) -> None:
    """Refuse vectors of another dataset; without an ``.item`` file nothing is checked."""
    if not file.is_file():
        return
    items = read_items(file).index
    if not items.isin(table.ids).any():
        raise UserError(
            f"none of the {len(items)} items of {file} has a vector: its ids look like '{items[0]}', the "
            f"matrix's like '{table.ids[0]}'"
        )
