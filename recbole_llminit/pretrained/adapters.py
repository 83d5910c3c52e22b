"""Read user states and item vectors of the same width out of a trained model, the backbone.

The inner product of the two is the score that the backbone itself computes, except for NeuMF.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from recbole_llminit.utils.errors import UserError

States = Callable[[Any], torch.Tensor]  # maps a batch of RecBole interactions to user states (batch, d)


@dataclass(frozen=True)
class Backbone:
    """A frozen model's user states and item vectors (n_items, d); the padding row of the items is zero.

    It is not an `nn.Module`, so that a model with a backbone neither trains nor saves its parameters. A
    deep copy returns the same object: RecBole's FLOPs counter copies models.
    """

    states: States
    items: torch.Tensor

    def __deepcopy__(self, memo: Any) -> Backbone:
        return self


def adapt(model: Any, key: str) -> Backbone:
    """Read user states and item vectors out of a trained model.

    Args:
        model: A RecBole model with an adapter, or one that extends such a model (LLMInitSASRec).
        key: The config key that names its checkpoint, for the error message.

    Raises:
        UserError: If there is no adapter for the model.
    """
    name = next((cls.__name__ for cls in type(model).__mro__ if cls.__name__ in ADAPTERS), None)
    if name is None:
        raise UserError(f"{key}: a {type(model).__name__}; expected one of {', '.join(ADAPTERS)}")
    with torch.no_grad():
        states, items = ADAPTERS[name](model)
        items = items.detach().clone()
        items[0] = 0  # some models' initialisers overwrite the padding row
    return Backbone(torch.no_grad()(states), items)


def _encoder(model: Any) -> tuple[States, torch.Tensor]:
    """Return the encoder of histories and the item table of SASRec or GRU4Rec."""

    def states(batch: Any) -> torch.Tensor:
        encoded: torch.Tensor = model.forward(batch[model.ITEM_SEQ], batch[model.ITEM_SEQ_LEN])
        return encoded

    return states, model.item_embedding.weight


def _convolution(model: Any) -> tuple[States, torch.Tensor]:
    """Return the encoder of histories and the item table of NextItNet, whose encoder takes no lengths."""
    return lambda batch: model.forward(batch[model.ITEM_SEQ]), model.item_embedding.weight


def _factors(model: Any) -> tuple[States, torch.Tensor]:
    return _lookup(model, model.user_embedding.weight), model.item_embedding.weight


def _propagated(model: Any) -> tuple[States, torch.Tensor]:
    """Return LightGCN's users and items after propagation, which is computed once."""
    users, items = model.forward()
    return _lookup(model, users), items


def _neural_factors(model: Any) -> tuple[States, torch.Tensor]:
    """Return NeuMF's factors concatenated with the embeddings that its perceptron takes.

    The users' factors are multiplied by the last layer's weights, so that the inner product of the factors
    is that part of NeuMF's score. The perceptron's part of the score is no inner product; a model trained
    on these vectors has to learn a use for the embeddings.
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
