"""What the models without training share: the items' text, the interactions, a grid, and scores.

RecBole's name for such models is traditional: its trainer takes one epoch, in which nothing is learned. Here
each epoch solves one point of the model's grid, so that RecBole's validation picks the best point, its
checkpoint keeps it and its log names it.
"""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType, ModelType

from recbole_llminit.embedding.load import load_item_vectors
from recbole_llminit.initialize.controls import gaussian_like, shuffled
from recbole_llminit.initialize.settings import Settings
from recbole_llminit.nn.closed_form import Weights, needed_bytes, unit_rows
from recbole_llminit.nn.propagation import sparse_tensor
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.values import is_number

Point = dict[str, Any]  # a value for each key of the grid


class Traditional(GeneralRecommender):  # type: ignore[misc]
    """A model that is computed from the training interactions and the items' text.

    Reads `llm_embedding`, `llm_missing`, `llm_shuffle_items`, `llm_noise` and `seed`. The text is always
    centred, whatever `llm_center` says.

    Attributes:
        interactions: (n_users, n_items) float32 counts of the training interactions.
        text: (n_items, d_llm) float32 centred rows of length 1; the padding row is zero.

    Raises:
        UserError: If a key or the vectors are wrong.
    """

    input_type = InputType.POINTWISE
    type = ModelType.TRADITIONAL

    def __init__(self, config: Any, dataset: Any) -> None:
        check_vectors(config)
        super().__init__(config, dataset)
        self.interactions = dataset.inter_matrix(form="csr").astype(np.float32)
        self.text, self.llm_vectors_hash = _text(config, dataset)
        self.dummy_param = torch.nn.Parameter(torch.zeros(1))  # RecBole's trainer can't do without one

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        """Return 0: there is nothing to train."""
        return self.dummy_param.sum()

    def history(self, interaction: Any) -> torch.Tensor:
        """Return the rows of a batch's users, (batch, n_items), as a sparse CSR tensor."""
        rows = self.interactions[interaction[self.USER_ID].cpu().numpy()]
        return sparse_tensor(rows).to(self.device)


class ItemItem(Traditional):
    """A traditional model with weights (n_items, n_items): a user's scores are X_u B.

    A key given as a list makes a grid. `points` holds its points; `solve` is called once for each.

    Attributes:
        points: The grid's points, in the order of the epochs.
        chosen: The point of the present weights; in the checkpoint, and so in the result file the best.
        item_weights: B, (n_items, n_items) float32; zeros until the first point is solved.

    Raises:
        UserError: If the weights would not fit into the free memory.
    """

    points: list[Point]

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        _check_memory(config["model"], self.n_items)
        self.register_buffer("item_weights", torch.zeros(self.n_items, self.n_items))
        self.chosen: Point | None = None
        self.other_parameter_name = ["chosen"]

    def solution(self, point: Point) -> Weights:
        """Return the weights (n_items, n_items) of a point of the grid."""
        raise NotImplementedError

    def solve(self, number: int) -> None:
        """Take the weights of a point, counted from 0."""
        point = self.points[number]
        values = ", ".join(f"{key} {value}" for key, value in point.items())
        getLogger().info(f"{type(self).__name__}: {values} (point {number + 1} of {len(self.points)})")
        self.item_weights.copy_(torch.from_numpy(self.solution(point)))
        self.chosen = point

    def full_sort_predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of all items for a batch of users: (batch * n_items,)."""
        return (self.history(interaction) @ self.item_weights).view(-1)

    def predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of a batch of users and items: (batch,)."""
        rows = self.history(interaction).to_sparse_coo()
        row, column = rows.indices()
        products = rows.values() * self.item_weights[column, interaction[self.ITEM_ID][row]]
        return products.new_zeros(len(rows)).index_add_(0, row, products)


def check_vectors(config: Any) -> None:
    """Check the keys of the text.

    Reads `llm_embedding`, `model` and the keys of `Settings`.

    Raises:
        UserError: If no table of vectors is named, or a setting is wrong.
    """
    if config["llm_embedding"] in (None, "none"):
        raise UserError(f"llm_embedding 'none': {config['model']} scores items by vectors; name a table")
    Settings.from_config(config)


def numbers(config: Any, key: str, allowed: Callable[[float], bool], expected: str) -> list[float]:
    """Return the values of a key that holds a number, or a list of numbers to be searched.

    Raises:
        UserError: If the list is empty or holds anything but finite numbers that are `allowed`.
    """
    value = config[key]
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(is_number(x) and abs(x) < float("inf") and allowed(x) for x in listed):
        raise UserError(f"{key} '{value}' must be {expected}, or a list of such numbers to be searched")
    return [float(x) for x in listed]


def _text(config: Any, dataset: Any) -> tuple[npt.NDArray[np.float32], str | None]:
    """Return the items' centred unit rows by RecBole id, row 0 zeros, and the hash of their table."""
    settings, loaded = Settings.from_config(config), load_item_vectors(config, dataset)
    if loaded is None:
        raise AssertionError("the settings let no run pass without vectors")
    text = loaded.matrix
    if settings.noise:
        text[1:] = gaussian_like(text[1:], config["seed"])
    text[1:] = unit_rows(text[1:])
    return shuffled(text, config["seed"]) if settings.shuffle_items else text, loaded.hash


def _check_memory(model: str, n_items: int) -> None:
    """Refuse a catalogue whose weights don't fit.

    Raises:
        UserError: If solving would take more than the free memory.
    """
    needed, free = needed_bytes(n_items), psutil.virtual_memory().available
    if needed > free:
        raise UserError(
            f"{model} on {n_items} items needs {needed / 1e9:.1f} GB for weights of {n_items} x {n_items} "
            f"items, and {free / 1e9:.1f} GB are free; use LLMInitSSM or TextProfile, which have none"
        )
