"""CEASE: EASE that also sees which items' texts are alike.

Jeunen, Van Balen and Goethals, "Closed-Form Models for Collaborative Filtering with Side-Information",
RecSys 2020.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from recbole_llminit.model.closed_form import ItemItem, Point, check_vectors, numbers
from recbole_llminit.nn.closed_form import Weights, cease


class CEASE(ItemItem):
    """EASE on X'X + weight F F', with F the items' centred text vectors of length 1.

    The paper's side information are sparse metadata; dense text vectors take their place. Items without
    training interactions are scored by their text.

    Reads `cease_weight` and `reg_weight`, and the keys of `ItemItem`.

    Raises:
        UserError: If a key or the vectors are wrong, or the weights would not fit into the free memory.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        self.points = points(config)
        super().__init__(config, dataset)

    def solution(self, point: Point) -> Weights:
        """Return the weights (n_items, n_items) of a point of the grid."""
        return cease(self.interactions, self.text, point["cease_weight"], point["reg_weight"])


def points(config: Any) -> list[Point]:
    """Return the grid: every `cease_weight` with every `reg_weight`.

    Raises:
        UserError: If a value is wrong.
    """
    check_vectors(config)
    weights = numbers(config, "cease_weight", lambda x: x >= 0, "a number from 0 on")
    ridges = numbers(config, "reg_weight", lambda x: x > 0, "a number above 0")
    return [{"cease_weight": weight, "reg_weight": ridge} for weight, ridge in product(weights, ridges)]
