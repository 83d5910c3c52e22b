"""Measure how many dimensions a trained table uses: its singular values and their effective rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
from scipy.stats import entropy
from torch import nn

_TABLES = ("user_embedding", "item_embedding")


def effective_rank(singular_values: npt.NDArray[np.floating]) -> float:
    """Return exp of the entropy of the singular values, taken as shares of their sum.

    Roy & Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007. It is 1 if
    only one singular value is not zero, d if all d are equal, and 0 for a table of zeros.
    """
    total = float(np.sum(singular_values))
    return float(np.exp(entropy(singular_values))) if total > 0 else 0.0


def table_statistics(model: Any) -> dict[str, dict[str, Any]]:
    """Return shape, singular values and effective rank of a model's user and item embedding tables.

    The padding row is left out; the rows are not centred.
    """
    tables = {name: getattr(model, name, None) for name in _TABLES}
    return {name: _of(table) for name, table in tables.items() if isinstance(table, nn.Embedding)}


def _of(table: nn.Embedding) -> dict[str, Any]:
    rows = table.weight.detach().cpu().numpy()[1:].astype(np.float64)
    values = scipy.linalg.svdvals(rows)
    return {
        "shape": list(rows.shape),
        "effective_rank": effective_rank(values),
        "singular_values": [float(value) for value in values],
    }
