"""SSM: the loss and its gradient beside a dense softmax, sampled items, and ranking by items of one length."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from recbole.data.interaction import Interaction

from recbole_llminit.nn.softmax import sampled_log_sum_exp
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, config_of, parts


def dense_loss(model: Any, batch: Any, t: float) -> torch.Tensor:
    """Cross-entropy over the cosines of a user with all 40 items; the padding item is none."""
    users, items = (F.normalize(nodes.double()) for nodes in super(type(model), model).forward())
    logits = users[batch["user_id"]] @ items[1:].T / t
    return F.cross_entropy(logits, batch["item_id"] - 1)


@pytest.mark.parametrize(("layers", "t"), [(2, 0.15), (1, 1.0), (0, 0.05)])
def test_loss_and_gradient_are_those_of_a_dense_softmax(layers: int, t: float, world: World) -> None:
    made = parts("SSM", world, n_layers=layers, ssm_temperature=t)
    batch, tables = next(iter(made.train)), list(made.model.parameters())
    expected = dense_loss(made.model, batch, t)
    loss = made.model.calculate_loss(batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    found, wanted = (torch.autograd.grad(one, tables) for one in (loss, expected))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_without_layers_it_is_matrix_factorisation(world: World) -> None:
    made = parts("SSM", world, n_layers=0)
    users, items = made.model.forward()
    assert torch.equal(users, made.model.user_embedding.weight)
    assert torch.equal(items, F.normalize(made.model.item_embedding.weight))


def test_more_samples_come_closer_to_all_items(world: World) -> None:
    """And their mean does not lean: few samples estimate the sum of exponentials without bias."""
    made = parts("SSM", world, ssm_negatives=20, ssm_temperature=0.5)
    batch = next(iter(made.train))
    expected = dense_loss(made.model, batch, 0.5).item()
    errors = []
    for number in (5, 500, 50_000):
        made.model.negatives = number
        torch.manual_seed(0)
        errors.append(abs(made.model.calculate_loss(batch).item() - expected))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 5e-3


def test_the_sampled_sum_is_unbiased() -> None:
    torch.manual_seed(1)
    table, x, own = F.normalize(torch.randn(9, 4)), F.normalize(torch.randn(3, 4)), torch.tensor([0, 4, 4])
    similar = x @ table.T / 0.5
    sums = []
    for _ in range(4000):
        drawn = torch.randint(9, (3,))
        itself = torch.bincount(drawn, minlength=9)[own]
        mine = similar[torch.arange(3), own]
        sums.append(sampled_log_sum_exp(x, mine, table[drawn], itself, 9, 0.5).exp() / (itself < 3))
    finite = torch.stack(sums).nan_to_num(posinf=torch.nan)
    torch.testing.assert_close(finite.nanmean(dim=0), similar.exp().sum(dim=1), rtol=0.03, atol=0.03)


def test_sampled_items_train(world: World) -> None:
    made = parts("SSM", world, ssm_negatives=10, learning_rate=0.05)
    losses = [made.trainer._train_epoch(made.train, epoch) for epoch in range(10)]
    assert losses[-1] < losses[0]
    assert all(p.grad.isfinite().all() for p in made.model.parameters())


@pytest.mark.parametrize("negatives", ["all", 7])
def test_the_padding_item_gets_no_gradient(negatives: Any, world: World) -> None:
    made = parts("SSM", world, ssm_negatives=negatives)
    made.model.calculate_loss(next(iter(made.train))).backward()
    assert not made.model.item_embedding.weight.grad[0].any()
    assert made.model.item_embedding.weight.grad[1:].any(dim=1).sum() > 20


def test_ranking_ignores_the_length_of_items(world: World) -> None:
    made = parts("SSM", world, n_layers=0)
    users = Interaction({"user_id": torch.arange(1, 61)})
    before = made.model.full_sort_predict(users)
    made.model.restore_user_e = None
    with torch.no_grad():
        made.model.item_embedding.weight *= torch.rand(41, 1) + 0.1
    torch.testing.assert_close(made.model.full_sort_predict(users), before)
    torch.testing.assert_close(made.model.forward()[1].norm(dim=1), torch.ones(41))


def test_no_negatives_are_drawn_and_labels_are_refused(world: World) -> None:
    made = parts("SSM", world)
    batch = next(iter(made.train))
    assert set(batch.columns) <= {"user_id", "item_id"}
    labelled = Interaction(
        {"user_id": batch["user_id"], "item_id": batch["item_id"], "label": torch.ones(len(batch))}
    )
    with pytest.raises(ValueError, match="SSM got a batch with 'label'"):
        made.model.calculate_loss(labelled)


def test_its_start_is_profile_svd_unless_the_user_says_so(world: World) -> None:
    assert config_of("LLMInitSSM", world)["llm_selection"] == "profile_svd"
    assert config_of("LLMInitSSM", world, llm_selection="var")["llm_selection"] == "var"
    assert config_of("LLMInitSGCL", world)["llm_selection"] == "var"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("ssm_temperature", 0, "a number above 0"),
        ("ssm_temperature", -0.1, "a number above 0"),
        ("ssm_temperature", float("nan"), "a number above 0"),
        ("ssm_temperature", "warm", "a number above 0"),
        ("ssm_negatives", 0, "all or a number of items to draw"),
        ("ssm_negatives", 1.5, "all or a number of items to draw"),
        ("ssm_negatives", True, "all or a number of items to draw"),
        ("ssm_negatives", "some", "all or a number of items to draw"),
    ],
)
@pytest.mark.parametrize("model", ["SSM", "LLMInitSSM"])
def test_wrong_values_are_refused(model: str, key: str, value: Any, expected: str, world: World) -> None:
    with pytest.raises(UserError, match=f"{key} '{value}' must be {expected}"):
        parts(model, world, **{key: value})
