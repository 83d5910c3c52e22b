"""L3AE: EASE that is pulled towards the item-item weights of the items' text.

CIKM 2025 (arXiv 2508.13500).
"""

from __future__ import annotations

from typing import Any

from recbole_llminit.model.closed_form import ItemItem, Point, check_vectors
from recbole_llminit.nn.closed_form import Weights, l3ae
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.values import is_number


class L3AE(ItemItem):
    """A linear autoencoder whose weights are regularised towards those that the text alone gives.

    The text vectors are centred and scaled to length 1, as CEASE's are, so that the two differ in nothing
    but how the text enters. Items without training interactions are scored by their text.

    Reads `l3ae_lambdas`, and the keys of `ItemItem`.

    Raises:
        UserError: If a key or the vectors are wrong, or the weights would not fit into the free memory.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        self.points = points(config)
        super().__init__(config, dataset)

    def solution(self, point: Point) -> Weights:
        """Return the weights (n_items, n_items) of a point of the grid."""
        return l3ae(self.interactions, self.text, tuple(point["l3ae_lambdas"]))


def points(config: Any) -> list[Point]:
    """Return the grid: the values of `l3ae_lambdas`, three numbers each, in its order.

    Raises:
        UserError: If a value is wrong.
    """
    check_vectors(config)
    value = config["l3ae_lambdas"]
    several = isinstance(value, list) and bool(value) and all(isinstance(one, list) for one in value)
    grid = value if several else [value]
    if not all(map(_is_point, grid)):
        raise UserError(
            f"l3ae_lambdas '{value}' must be three numbers, or a list of such lists to be searched: the "
            "ridge of the text above 0, the ridge of the interactions, the pull towards the text from 0 on; "
            "the sum of the last two above 0"
        )
    return [{"l3ae_lambdas": [float(x) for x in one]} for one in grid]


def _is_point(value: Any) -> bool:
    """Tell whether a value holds the three lambdas."""
    if not isinstance(value, list) or len(value) != 3:
        return False
    if not all(is_number(x) and abs(x) < float("inf") for x in value):
        return False
    of_text, ridge, pull = value
    return bool(of_text > 0 and pull >= 0 and ridge + pull > 0)
