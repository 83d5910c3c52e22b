"""What each backbone knows: a state for every user and a vector for every item, of one width.

For all but NeuMF the inner product of the two is the backbone's own score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from recbole_llminit.utils.errors import UserError

States = Callable[[Any], torch.Tensor]  # a batch of RecBole's interactions to (batch, d)


@dataclass(frozen=True)
class Backbone:
    """A frozen model's user states and item vectors (n_items, d), whose padding row is zero.

    It is no module: a model that holds one has neither its parameters nor its state, and RecBole's
    FLOPs counter, which copies models, does not copy it.
    """

    states: States
    items: torch.Tensor

    def __deepcopy__(self, memo: Any) -> Backbone:
        return self


def adapt(model: Any, key: str) -> Backbone:
    """Read user states and item vectors out of a model, or of one that extends it (LLMInitSASRec).

    Args:
        model: A trained RecBole model.
        key: The config key that names its checkpoint, for the error.

    Raises:
        UserError: If there is no adapter for it.
    """
    name = next((cls.__name__ for cls in type(model).__mro__ if cls.__name__ in ADAPTERS), None)
    if name is None:
        raise UserError(f"{key}: a {type(model).__name__}; expected one of {', '.join(ADAPTERS)}")
    with torch.no_grad():
        states, items = ADAPTERS[name](model)
        items = items.detach().clone()
        items[0] = 0  # initialisers overwrite the padding row of some models
    return Backbone(torch.no_grad()(states), items)


def _encoder(model: Any) -> tuple[States, torch.Tensor]:
    """Return the encoded sequence and the item table: SASRec, GRU4Rec."""

    def states(batch: Any) -> torch.Tensor:
        encoded: torch.Tensor = model.forward(batch[model.ITEM_SEQ], batch[model.ITEM_SEQ_LEN])
        return encoded

    return states, model.item_embedding.weight


def _convolution(model: Any) -> tuple[States, torch.Tensor]:
    """Return the convolved sequence and the item table: NextItNet, which reads no lengths."""
    return lambda batch: model.forward(batch[model.ITEM_SEQ]), model.item_embedding.weight


def _factors(model: Any) -> tuple[States, torch.Tensor]:
    return _lookup(model, model.user_embedding.weight), model.item_embedding.weight


def _propagated(model: Any) -> tuple[States, torch.Tensor]:
    """Return the nodes after propagation, computed once: LightGCN."""
    users, items = model.forward()
    return _lookup(model, users), items


def _neural_factors(model: Any) -> tuple[States, torch.Tensor]:
    """Return NeuMF's tables side by side: the factors, then the perceptron's input.

    The last layer's weights go into the users' factors, so that their part of the inner product is
    NeuMF's own. The perceptron's part has none; training the recommendation loss gives it one.
    """
    users, items = [], []
    if model.mf_train:
        weight = model.predict_layer.weight[0, : model.mf_embedding_size]
        users.append(model.user_mf_embedding.weight * weight)
        items.append(model.item_mf_embedding.weight)
    if model.mlp_train:
        users.append(model.user_mlp_embedding.weight)
        items.append(model.item_mlp_embedding.weight)
    return _lookup(model, torch.cat(users, dim=1)), torch.cat(items, dim=1)


def _lookup(model: Any, users: torch.Tensor) -> States:
    return lambda batch: users[batch[model.USER_ID]]


ADAPTERS: dict[str, Callable[[Any], tuple[States, torch.Tensor]]] = {
    "SASRec": _encoder,
    "GRU4Rec": _encoder,
    "NextItNet": _convolution,
    "BPR": _factors,
    "NeuMF": _neural_factors,
    "LightGCN": _propagated,
}
