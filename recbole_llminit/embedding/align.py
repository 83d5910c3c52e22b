"""Put the vectors of a table into the order of RecBole's item ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recbole_llminit.embedding.table import VectorTable
from recbole_llminit.utils.errors import UserError

_POLICIES = ("error", "mean", "zero")


def align(
    table: VectorTable, tokens: Sequence[str], missing: str = "error"
) -> tuple[npt.NDArray[np.float32], int]:
    """Put a table's vectors into the order of `tokens`, without changing RecBole's vocabulary.

    Args:
        table: A table of any items; those that are not among `tokens` are left out.
        tokens: (n_items,) item tokens by RecBole's item id; the first is padding.
        missing: What an item without a vector gets: `mean`, the mean of the other items' vectors;
            `zero`, a vector of zeros; or `error`, which allows no such item.

    Returns:
        A matrix (n_items, d_llm) float32 whose row 0 is zeros, and the number of items with a vector.

    Raises:
        UserError: If an item has no vector and `missing` is `error`, or if no item has a vector.
    """
    if missing not in _POLICIES:
        raise UserError(f"llm_missing '{missing}' must be one of {', '.join(_POLICIES)}")
    row_of = {token: row for row, token in enumerate(table.ids)}
    rows = np.array([row_of.get(str(token), -1) for token in tokens[1:]], dtype=np.int64)
    found = rows >= 0
    _check(table, tokens, found, missing)
    aligned = np.zeros((len(tokens), table.vectors.shape[1]), dtype=np.float32)
    items = aligned[1:]
    items[found] = table.vectors[rows[found]]
    if missing == "mean":
        items[~found] = items[found].mean(axis=0, dtype=np.float64)
    return aligned, int(found.sum())


def _check(table: VectorTable, tokens: Sequence[str], found: npt.NDArray[np.bool_], missing: str) -> None:
    if not found.any():
        raise UserError(
            f"none of the {len(found)} items has a vector: the dataset's ids look like "
            f"'{tokens[-1]}', the table's like '{table.ids[0]}'"
        )
    if missing == "error" and not found.all():
        lost = int((~found).sum())
        example = tokens[1 + int(np.flatnonzero(~found)[0])]
        raise UserError(
            f"{lost} of {len(found)} items have no vector (e.g. '{example}'); encode them, "
            "or set llm_missing: mean or zero"
        )
