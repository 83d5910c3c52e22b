"""The networks and losses of ALLMRec, against values computed by hand."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
from torch import nn

from recbole_llminit.model.allmrec.alignment import ALIGNMENTS, Reconstructing, info_nce, recommendation_loss
from recbole_llminit.model.allmrec.settings import BridgeSettings, Match


def settings(**changes: object) -> BridgeSettings:
    keys = {"match": Match.MSE, "temperature": 0.5, "latent": 2, "layers": (), "dropout": 0.0}
    return BridgeSettings(**{**keys, "alpha": 0.5, "beta": 0.25, "cold": 0, **changes})  # type: ignore[arg-type]


def constant(value: list[float]) -> nn.Module:
    """Return a decoder whose output is `value` for any input."""
    layer = nn.Linear(2, len(value))
    nn.init.zeros_(layer.weight)
    layer.bias.data = torch.tensor(value)
    return layer


def test_matching_and_reconstruction_by_hand() -> None:
    alignment = Reconstructing(1, 2, settings())
    alignment.item_decoder, alignment.text_decoder = constant([1.0]), constant([0.0, 1.0])
    e = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    q = torch.tensor([[0.5, 0.1], [0.0, 0.0]])
    items = torch.tensor([[3.0], [1.0]])
    texts = torch.tensor([[0.0, 0.0], [2.0, 1.0]])
    match, item, text = alignment.terms(e, q, items, texts, torch.tensor([1, 2]))
    # positive: (0 + .16) / 2, negative: (1 + 0) / 2
    assert match.item() == pytest.approx(0.08 + 0.5)
    assert item.item() == pytest.approx(0.5 * ((1 - 3) ** 2 + 0))
    # positive: (0 + 1) / 2, negative: (4 + 0) / 2
    assert text.item() == pytest.approx(0.25 * (0.5 + 2.0))


def test_info_nce_by_hand() -> None:
    """Lengths don't matter; the similarities are 1 and 0, the temperature is .5, and both directions count."""
    x, y = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 5.0]])
    assert info_nce(x, y, 0.5).item() == pytest.approx(-log(exp(2) / (exp(2) + 1)))
    aside = info_nce(x, torch.tensor([[1.0, 0.0], [1.0, 0.0]]), 0.5)
    forward = (log(2) + log(2)) / 2
    backward = (-log(exp(2) / (exp(2) + 1)) - log(1 / (exp(2) + 1))) / 2
    assert aside.item() == pytest.approx((forward + backward) / 2)


def test_recommendation_loss_by_hand() -> None:
    loss = recommendation_loss(torch.tensor([0.0, 2.0]), torch.tensor([1.0, -1.0]))
    positives = (log(2) + log(1 + exp(-2))) / 2
    negatives = (log(1 + exp(1)) + log(1 + exp(-1))) / 2
    assert loss.item() == pytest.approx(positives + negatives)


def test_an_item_that_occurs_twice_is_not_its_own_negative() -> None:
    alignment = ALIGNMENTS[Match.INFONCE](3, 4, settings(match=Match.INFONCE))
    e, q = torch.rand(3, 2), torch.rand(3, 2)
    none = torch.empty(0)
    (once,) = alignment.terms(e, q, none, none, torch.tensor([4, 9, 2]))
    again = torch.tensor([0, 1, 0, 2])
    (twice,) = alignment.terms(e[again], q[again], none, none, torch.tensor([4, 9, 4, 2]))
    torch.testing.assert_close(once, twice)


def test_contrasting_has_no_decoder_of_texts() -> None:
    alignment = ALIGNMENTS[Match.INFONCE](3, 4, settings(match=Match.INFONCE))
    names = {name.split(".")[0] for name, _ in alignment.named_parameters()}
    assert names == {"item_encoder", "text_encoder", "item_decoder"}


def test_layers_are_the_papers_or_deeper() -> None:
    """The paper has linear, sigmoid, linear; four hidden layers give five linear ones in each direction."""
    paper, deep = (Reconstructing(5, 7, settings(layers=layers)) for layers in ((), (6, 5, 4, 3)))
    shapes = [[tuple(p.shape) for p in net.parameters() if p.dim() == 2] for net in paper.children()]
    assert shapes == [[(2, 5)], [(2, 7)], [(5, 2)], [(7, 2)]]
    shapes = [[tuple(p.shape) for p in net.parameters() if p.dim() == 2] for net in deep.children()]
    assert shapes[1] == [(6, 7), (5, 6), (4, 5), (3, 4), (2, 3)]
    assert shapes[3] == [(3, 2), (4, 3), (5, 4), (6, 5), (7, 6)]
    latent = deep.text_encoder(torch.randn(4, 7))
    assert ((latent > 0) & (latent < 1)).all()
