"""User states and item vectors: their inner product is the backbone's own score."""

from __future__ import annotations

import copy

import pytest
import torch

from recbole_llminit.pretrained.adapters import adapt
from recbole_llminit.utils.errors import UserError
from tests.conftest import SMALL, World, parts


@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec", "NextItNet", "BPR", "LightGCN", "LLMInitSASRec"])
def test_inner_product_is_the_score(name: str, world: World) -> None:
    made = parts(name, world, "sequential", **SMALL)
    made.trainer._train_epoch(made.train, 0)
    model = made.model.eval()
    backbone = adapt(model, "the_key")
    batch = next(iter(made.test))[0]
    scores = model.full_sort_predict(batch).view(len(batch), -1)
    torch.testing.assert_close(backbone.states(batch) @ backbone.items.T[:, 1:], scores[:, 1:])
    assert not backbone.items[0].any()
    assert not backbone.states(batch).requires_grad


@pytest.mark.parametrize(
    ("factors", "perceptron", "width"), [(True, False, 4), (False, True, 4), (True, True, 8)]
)
def test_neumf(factors: bool, perceptron: bool, width: int, world: World) -> None:
    """The factors' part is NeuMF's own logit; the perceptron's tables stand beside it."""
    made = parts("NeuMF", world, "sequential", mf_train=factors, mlp_train=perceptron, **SMALL)
    made.trainer._train_epoch(made.train, 0)
    model = made.model.eval()
    backbone = adapt(model, "the_key")
    batch = next(iter(made.test))[0]
    states = backbone.states(batch)
    assert states.shape[1] == backbone.items.shape[1] == width
    if not perceptron:
        items = torch.arange(len(batch)) % 40 + 1
        logits = model.forward(batch["user_id"], items) - model.predict_layer.bias
        torch.testing.assert_close((states * backbone.items[items]).sum(dim=1), logits)


def test_it_is_not_copied_with_what_holds_it(world: World) -> None:
    backbone = adapt(parts("BPR", world).model, "the_key")
    assert copy.deepcopy(backbone) is backbone


def test_a_model_without_an_adapter(world: World) -> None:
    model = parts("Pop", world).model
    with pytest.raises(UserError, match="the_key: a Pop; expected one of SASRec, GRU4Rec"):
        adapt(model, "the_key")
