"""SGCL and MixSGCL: the loss by hand, its gradient, and batches without negatives."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from recbole.data.interaction import Interaction

from recbole_llminit.model.mixsgcl import mix_edges, mix_layers
from recbole_llminit.model.sgcl import contrastive_loss
from tests.conftest import World, parts


def by_definition(x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    crowd = torch.exp(x @ x.T / t).sum(dim=1) + torch.exp(y @ y.T / t).sum(dim=1)
    return -torch.log(torch.exp((x * y).sum(dim=1) / t) / crowd).sum()


def test_loss_of_two_pairs_by_hand() -> None:
    """With orthogonal users and equal items, each denominator is e^(1/t) + 1 + 2 e^(1/t)."""
    x, y = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    t = 0.5
    expected = 2 * math.log(3 * math.exp(1 / t) + 1) - 1 / t
    assert contrastive_loss(x, y, t).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("t", [0.05, 0.2, 1.0])
def test_loss_and_gradient_equal_the_definition(t: float) -> None:
    x, y = (F.normalize(torch.randn(9, 5, dtype=torch.float32)).requires_grad_() for _ in range(2))
    mine = torch.autograd.grad(contrastive_loss(x, y, t), (x, y))
    theirs = torch.autograd.grad(by_definition(x.double(), y.double(), t), (x, y))
    assert contrastive_loss(x, y, t).item() == pytest.approx(
        by_definition(x.double(), y.double(), t).item(), rel=1e-5
    )
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_loss_stays_finite_where_exponentials_overflow() -> None:
    x = F.normalize(torch.randn(4, 3))
    assert torch.isfinite(contrastive_loss(x, x, 0.001))


def test_mixed_precision_trains() -> None:
    x = F.normalize(torch.randn(8, 4)).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = contrastive_loss(x, x, 0.2)
    loss.backward()
    assert torch.isfinite(x.grad).all()


def test_views_of_mixsgcl_are_mixtures() -> None:
    stack = torch.randn(6, 3, 4)
    mixed = mix_layers(stack)
    assert (mixed <= stack.max(dim=1).values + 1e-6).all()
    assert (mixed >= stack.min(dim=1).values - 1e-6).all()
    x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    user, item = mix_edges(x, y)
    assert user[0, 1] >= user[0, 0] > 0  # the other end weighs at least half, but not all
    assert item[0, 0] >= item[0, 1]
    assert user.norm().item() == pytest.approx(1)


@pytest.mark.parametrize("model", ["SGCL", "MixSGCL", "LLMInitSGCL"])
def test_no_negatives_are_drawn_whatever_the_user_says(model: str, world: World) -> None:
    made = parts(model, world, train_neg_sample_args={"distribution": "uniform", "sample_num": 1})
    assert made.config["train_neg_sample_args"]["distribution"] == "none"
    batch = next(iter(made.train))
    assert set(batch.columns) <= {"user_id", "item_id"}
    assert sum(len(batch["user_id"]) for batch in made.train) == 60 * 8


def test_the_loss_of_a_batch_is_that_of_its_unit_vectors(world: World) -> None:
    """MixSGCL's loss is three times as much, if mixing changes nothing."""
    from recbole_llminit.model import mixsgcl

    for name, times in (("SGCL", 1), ("MixSGCL", 3)):
        made = parts(name, world, "masked", temperature=0.3)
        batch = next(iter(made.train))
        users, items = made.model.forward()
        x, y = F.normalize(users[batch["user_id"]]), F.normalize(items[batch["item_id"]])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mixsgcl, "mix_layers", lambda stack: stack.mean(dim=1))
            patch.setattr(mixsgcl, "mix_edges", lambda x, y: (x, y))
            loss = made.model.calculate_loss(batch)
        assert loss.item() == pytest.approx(times * by_definition(x, y, 0.3).item(), rel=1e-4)


@pytest.mark.parametrize("model", ["SGCL", "MixSGCL", "LLMInitLightGCN", "LLMInitSGL"])
def test_scores_are_those_of_the_trained_model(model: str, world: World) -> None:
    """Vectors that an evaluation caches are dropped as soon as training goes on."""
    made = parts(model, world, learning_rate=0.1)
    users = Interaction({"user_id": torch.arange(1, 9)})
    before = made.model.full_sort_predict(users).detach().clone()
    made.trainer._train_epoch(made.train, 0)
    after = made.model.full_sort_predict(users)
    assert (before != after).any(dim=-1).all()


def test_a_batch_with_labels_is_refused(world: World) -> None:
    made = parts("SGCL", world)
    ids = torch.tensor([1, 2])
    batch = Interaction({"user_id": ids, "item_id": ids, "label": torch.tensor([1.0, 0.0])})
    with pytest.raises(ValueError, match="must all be positive"):
        made.model.calculate_loss(batch)
