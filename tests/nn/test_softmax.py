"""The log-sum-exp in blocks, and SGL's contrastive loss, which uses it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from recbole_llminit.nn import softmax
from recbole_llminit.nn.softmax import log_sum_exp
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, parts


@pytest.mark.parametrize("keep", [0, 2**29])
@pytest.mark.parametrize("rows", [1, 7, 23])
@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
def test_value_and_gradients(
    monkeypatch: pytest.MonkeyPatch, keep: int, rows: int, temperature: float
) -> None:
    """Blocks may or may not divide the table, and the exponentials may be kept or computed again."""
    monkeypatch.setattr(softmax, "_KEEP", keep)
    monkeypatch.setattr(softmax, "_BLOCK", rows)
    torch.manual_seed(0)
    x, y = (F.normalize(torch.randn(n, 8)).requires_grad_() for n in (5, 21))
    weight = torch.rand(5)
    expected = torch.logsumexp(x @ y.T / temperature, dim=1)
    of_x, of_y = torch.autograd.grad((weight * expected).sum(), (x, y))
    value = log_sum_exp(x, y, temperature)
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
    found = torch.autograd.grad((weight * value).sum(), (x, y))
    torch.testing.assert_close(found, (of_x, of_y), rtol=1e-5, atol=1e-5)


def test_a_cold_temperature_does_not_overflow() -> None:
    x = F.normalize(torch.ones(2, 3))
    assert torch.isfinite(log_sum_exp(x, x, 0.001)).all()


def test_a_vector_may_be_its_own_table() -> None:
    torch.manual_seed(0)
    x = F.normalize(torch.randn(6, 4)).requires_grad_()
    expected = torch.autograd.grad(torch.logsumexp(x @ x.T / 0.2, dim=1).sum(), x)
    torch.testing.assert_close(torch.autograd.grad(log_sum_exp(x, x, 0.2).sum(), x), expected)


def test_sgls_contrast_is_recboles(world: World) -> None:
    from recbole.model.general_recommender.sgl import SGL

    model = parts("LLMInitSGL", world, llm_embedding="none").model
    users, items = torch.tensor([1, 2, 2, 5]), torch.tensor([3, 3, 1, 3])  # each repeat counts
    views = [torch.randn(n, 8, requires_grad=True) for n in (model.n_users,) * 2 + (model.n_items,) * 2]
    losses = [cls.calc_ssl_loss(model, users, items, *views) for cls in (SGL, type(model))]
    torch.testing.assert_close(losses[0], losses[1])
    gradients = [torch.autograd.grad(loss, views) for loss in losses]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("wrong", ["some", 0, -1, True, 1.5])
def test_a_wrong_denominator_is_refused(world: World, wrong: object) -> None:
    with pytest.raises(UserError, match=f"ssl_denominator '{wrong}' must be all, batch or a number"):
        parts("LLMInitSGL", world, llm_embedding="none", ssl_denominator=wrong)


def contrast(world: World, denominator: object, noise: float = 9.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of a batch with one user twice and another once, and its value computed directly.

    The direct value is over the nodes that `denominator` names; over all nodes if it is a number.
    """
    model = parts("LLMInitSGL", world, llm_embedding="none", ssl_denominator=denominator).model
    torch.manual_seed(3)
    one = F.normalize(torch.randn(model.n_users, 8))
    two = F.normalize(one + noise * torch.randn(model.n_users, 8))
    ids, rest = torch.tensor([4, 1, 4]), {"all": two, "batch": two[[1, 4]]}
    similar = one[ids] @ rest.get(str(denominator), two).T / model.ssl_tau
    own = (one[ids] * two[ids]).sum(dim=1) / model.ssl_tau
    return model._contrast(ids, one, two), (torch.logsumexp(similar, dim=1) - own).sum()


@pytest.mark.parametrize("denominator", ["all", "batch"])
def test_the_denominator_is_over_all_or_the_batch(world: World, denominator: str) -> None:
    torch.testing.assert_close(*contrast(world, denominator))


def test_sampled_nodes_stand_for_all(world: World) -> None:
    found, expected = contrast(world, 200_000)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    assert contrast(world, 5)[0] > 0


def test_a_sampled_node_is_not_among_its_own_others(world: World) -> None:
    """If the two views of a node are alike, the node itself is a large part of the sum."""
    found, expected = contrast(world, 200_000, noise=0.1)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    torch.manual_seed(0)
    assert all(contrast(world, 1, noise=0.1)[0].isfinite() for _ in range(5))
