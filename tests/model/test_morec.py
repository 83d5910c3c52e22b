"""MoRec: the projection by hand, frozen text, parity with the models it extends, and cold items by text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.quick_start import load_data_and_model
from torch import nn

from recbole_llminit import cli
from recbole_llminit.model.morec.morec import mean_pooling
from recbole_llminit.nn.text_projection import Fusion, Shape, TextItems
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, config_of, parts, run, write_world

SAME = {"atol": 1e-5, "rtol": 1e-5}
SASREC = {"n_heads": 2, "inner_size": 16, "n_layers": 1, "hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0}


def gelu(x: float) -> float:
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def made(
    fusion: Fusion = Fusion.NONE, layers: int = 0, dropout: float = 0.0, seen: tuple[bool, ...] = (True,) * 3
) -> TextItems:
    """Return two items and padding: 2 text dimensions, width 2; the id row of item i is (10 i, 10 i + 1)."""
    torch.manual_seed(0)
    text = np.array([[0, 0], [1, 2], [3, -1]], dtype=np.float32)
    ids = nn.Embedding(3, 2)
    ids.weight.data = torch.tensor([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]])
    settings = Shape(layers, dropout, fusion)
    items = TextItems(text, ids, np.array(seen), settings)
    items.dense[0].weight.data = torch.tensor([[1.0, 0.0], [0.5, -1.0]])
    items.dense[0].bias.data = torch.tensor([0.5, 0.25])
    return items


# The first layer's W t + b is (1.5, -1.25) for the text t = (1, 2), and (3.5, 2.75) for t = (3, -1).
DENSE = [[0.0, 0.0], [gelu(1.5), gelu(-1.25)], [gelu(3.5), gelu(2.75)]]


def test_projection_by_hand() -> None:
    torch.testing.assert_close(made().weight, torch.tensor(DENSE))


def test_a_block_by_hand() -> None:
    items = made(layers=1)
    items.blocks[0][1].weight.data = torch.tensor([[2.0, 0.0], [0.0, -1.0]])
    items.blocks[0][1].bias.data = torch.tensor([-1.0, 0.5])
    expected = [[0.0, 0.0], *([gelu(2 * x - 1), gelu(0.5 - y)] for x, y in DENSE[1:])]
    torch.testing.assert_close(items.weight, torch.tensor(expected))


def test_added_ids_by_hand() -> None:
    """The second item has no training interactions, so its row comes from its text alone."""
    items = made(Fusion.ADD, seen=(False, True, False))
    expected = [[0.0, 0.0], [DENSE[1][0] + 10, DENSE[1][1] + 11], DENSE[2]]
    torch.testing.assert_close(items.weight, torch.tensor(expected))


def test_concatenated_ids_by_hand() -> None:
    items = made(Fusion.CONCAT, seen=(False, True, False))
    items.merge.weight.data = torch.tensor([[1.0, 0.0, 0.0, 2.0], [0.0, 3.0, 1.0, 0.0]])
    items.merge.bias.data = torch.tensor([0.0, -1.0])
    expected = [
        [0.0, 0.0],
        [10 + 2 * DENSE[1][1], 33 + DENSE[1][0] - 1],
        [2 * DENSE[2][1], DENSE[2][0] - 1],
    ]
    torch.testing.assert_close(items.weight, torch.tensor(expected))


@given(st.sampled_from(Fusion), st.integers(0, 3), st.lists(st.integers(0, 2), min_size=1, max_size=8))
def test_rows_are_the_tables_and_padding_is_zero(fusion: Fusion, layers: int, ids: list[int]) -> None:
    items = made(fusion, layers)
    for parameter in items.parameters():
        nn.init.uniform_(parameter, 0.1, 1.0)  # biases are not zero
    rows = torch.tensor(ids)
    torch.testing.assert_close(items(rows), items.weight[rows])
    assert not items.weight[0].any()
    assert items.weight[1:].all()


@pytest.mark.parametrize("fusion", Fusion)
def test_padding_has_no_gradient(fusion: Fusion) -> None:
    items = made(fusion, layers=1)
    items(torch.tensor([0, 0])).sum().backward()
    assert not any(p.grad.any() for p in items.parameters() if p.grad is not None)
    items.weight.sum().backward()
    assert items.dense[0].weight.grad.any()
    if fusion is not Fusion.NONE:
        assert items.ids.weight.grad[1:].any()
        assert not items.ids.weight.grad[0].any()


def test_one_step_sees_one_dropout() -> None:
    items = made(layers=2, dropout=0.5).train()
    with items.once():
        assert torch.equal(items.weight, items.weight)
        assert torch.equal(items(torch.tensor([2]))[0], items.weight[2])
    draws = torch.stack([items.weight for _ in range(20)])
    assert (draws != draws[0]).any()
    assert torch.equal(items.eval().weight, items.weight)


def test_deep_projections_start_with_a_signal() -> None:
    """Items differ as much after eight blocks as before them, within a factor of three."""
    torch.manual_seed(0)
    text = torch.nn.functional.normalize(torch.randn(200, 64)).numpy()
    deep, flat = (
        TextItems(
            text,
            nn.Embedding(200, 64),
            np.ones(200, bool),
            Shape(n, 0.0, Fusion.NONE),
        )
        for n in (8, 0)
    )
    assert 1 / 3 < float(deep.weight[1:].std(dim=0).mean() / flat.weight[1:].std(dim=0).mean()) < 3


def copied(morec: Any, host: Any) -> None:
    """Copy into `host` the projected items as its table, and all parameters that both models have."""
    shared = {name: v for name, v in morec.state_dict().items() if not name.startswith("item_embedding.")}
    missing, unexpected = host.load_state_dict(shared, strict=False)
    assert missing == ["item_embedding.weight"]
    assert not unexpected
    host.item_embedding.weight.data = morec.item_embedding.weight.detach().clone()


@pytest.mark.parametrize(
    ("model", "host", "keys"),
    [
        ("MoRec", "LightGCN", {"morec_backbone": "lightgcn", "reg_weight": 0.1, "n_layers": 3}),
        ("MoRec", "BPR", {"morec_backbone": "mf", "reg_weight": 0.0}),
        ("MoRecSASRec", "SASRec", {**SASREC, "loss_type": "CE"}),
        ("MoRecSASRec", "SASRec", {**SASREC, "loss_type": "BPR"}),
    ],
)
def test_with_its_items_the_host_gives_the_same(
    model: str, host: str, keys: dict[str, Any], world: World
) -> None:
    """With the projected items as its table, the RecBole model that MoRec extends has its loss and scores."""
    ours, theirs = (parts(name, world, **keys) for name in (model, host))
    copied(ours.model, theirs.model)
    batch = next(iter(ours.train))
    losses = [made.model.calculate_loss(batch).squeeze() for made in (ours, theirs)]
    torch.testing.assert_close(*losses, **SAME)
    users = next(iter(ours.test))[0]
    scores = [made.model.eval().full_sort_predict(users).flatten() for made in (ours, theirs)]
    torch.testing.assert_close(*scores, **SAME)


def test_pooled_users_are_the_means_of_their_items(world: World) -> None:
    """A user is the mean of its training items (eight under leave-one-out), and has no parameter."""
    model = parts("MoRec", world, morec_users="pooled", morec_backbone="mf").model
    assert not any("user" in name for name, _ in model.named_parameters())
    counts = parts("BPR", world).train._dataset.inter_matrix("csr").toarray()
    users, items = model()
    expected = torch.tensor(counts / np.maximum(counts.sum(1, keepdims=True), 1)).float() @ items
    torch.testing.assert_close(users, expected, **SAME)
    assert not users[0].any()
    users.sum().backward()
    assert model.item_embedding.dense[0].weight.grad.any()


def test_gradient_of_pooling_is_its_transpose() -> None:
    counts = np.array([[0, 2, 1], [0, 0, 0]], dtype=np.float32)
    items = torch.randn(5, 2, requires_grad=True)
    users = (mean_pooling(counts) @ items)[:2]
    users.backward(torch.tensor([[3.0, 6.0], [1.0, 1.0]]))
    expected = [[0, 0], [0, 0], [0, 0], [2, 4], [1, 2]]
    torch.testing.assert_close(items.grad, torch.tensor(expected, dtype=torch.float32))


def test_text_is_frozen_and_no_part_of_the_state(world: World) -> None:
    made = parts("MoRec", world, morec_fusion="add", learning_rate=0.1)
    items = made.model.item_embedding
    before = items.text.clone()
    made.trainer._train_epoch(made.train, 0)
    assert torch.equal(items.text, before)
    tokens = made.dataset.field2id_token["item_id"][1:]
    np.testing.assert_allclose(before, world.vectors[[int(token[1:]) for token in tokens]], rtol=1e-6)
    users, width, d_llm = 61 * 8, 8, world.vectors.shape[1]
    assert sum(p.numel() for p in made.model.parameters()) == users + d_llm * width + width + 41 * width
    assert not any(value.shape == items.text.shape for value in made.model.state_dict().values())


@pytest.mark.parametrize("model", ["MoRec", "MoRecSASRec"])
def test_a_checkpoint_goes_with_its_vectors(model: str, world: World) -> None:
    keys = SASREC if model == "MoRecSASRec" else {}
    result = run(model, world, checkpoint_dir="here", **keys)
    file = str(next(Path("here").glob("*.pth")))
    loaded = load_data_and_model(file)[1]
    assert result["vectors"] == loaded.llm_vectors_hash == loaded.item_embedding.table
    assert result["parameters"] == sum(p.numel() for p in loaded.parameters())
    world.table(vectors=world.vectors + 1)
    with pytest.raises(UserError, match=r"trained on other vectors \(hash \w{12}\).*put back the table"):
        load_data_and_model(file)


def test_vectors_without_a_card_reload(world: World) -> None:
    text = world.root / world.name / f"{world.name}.itememb"
    rows = [f"{token}\t{i} 1" for i, token in enumerate(world.tokens)]
    text.write_text("\n".join(["iid:token\tllm_emb:float_seq", *rows]) + "\n")
    run("MoRec", world, checkpoint_dir="here", llm_embedding="itememb")
    assert load_data_and_model(str(next(Path("here").glob("*.pth"))))[1].item_embedding.table is None


def cold_world(root: Path) -> World:
    """Write a world of four groups where the last item of every user, the target item, is a cold item."""
    rng = np.random.default_rng(3)
    group = np.arange(40) % 4
    warm, cold = np.arange(32), np.arange(32, 40)
    histories = []
    for user in range(80):
        mine = group == user % 4
        history = rng.choice(warm[mine[warm]], 6, replace=False)
        histories.append([*history, rng.choice(cold[mine[cold]])])
    pairs = [(user, item) for user, history in enumerate(histories) for item in history]
    vectors = rng.normal(size=(4, 16))[group] + 0.2 * rng.normal(size=(40, 16))
    return write_world(root, "cold", pairs, vectors)


IN_TIME = {
    "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "learning_rate": 0.01,
}


def own_cold_items_first(model: str, world: World, **keys: Any) -> float:
    """Train a model; return the share of users with both cold items of their group above the other six."""
    made = parts(model, world, **IN_TIME, **keys)
    for epoch in range(15):
        made.trainer._train_epoch(made.train, epoch)
    cold = made.dataset.token2id("item_id", [f"i{i}" for i in range(32, 40)])
    trained = made.train._dataset.inter_matrix("csr")
    assert trained[:, cold].nnz == 0
    made.model.eval()
    first = []
    with torch.no_grad():
        for batch, *_ in made.test:
            scores = made.model.full_sort_predict(batch).view(len(batch), -1)[:, cold]
            users = made.dataset.id2token("user_id", batch["user_id"].numpy())
            own = np.array([[int(user[1:]) % 4 == item % 4 for item in range(8)] for user in users])
            top = scores.topk(2).indices.numpy()
            first += np.take_along_axis(own, top, axis=1).all(axis=1).tolist()
    return float(np.mean(first))


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("MoRec", {"morec_backbone": "mf"}),
    ("MoRec", {"morec_backbone": "mf", "morec_users": "pooled"}),
    ("MoRec", {"morec_backbone": "lightgcn"}),
    ("MoRec", {"morec_backbone": "lightgcn", "morec_mlp_layers": 1}),
    ("MoRec", {"morec_backbone": "mf", "morec_fusion": "add"}),
    ("MoRec", {"morec_backbone": "lightgcn", "morec_fusion": "concat"}),
    ("MoRecSASRec", SASREC),
    ("MoRecSASRec", {**SASREC, "morec_fusion": "add"}),
]


@pytest.mark.parametrize(("model", "keys"), VARIANTS)
def test_items_nobody_had_are_ranked_from_text(model: str, keys: dict[str, Any], tmp_path: Path) -> None:
    """By chance the two items of the group come first in 1 of 28 cases; shuffled texts are of little use."""
    world = cold_world(tmp_path / "data")
    assert own_cold_items_first(model, world, **keys) > 0.9
    assert own_cold_items_first(model, world, llm_shuffle_items=True, **keys) < 0.5


def test_ids_alone_do_not_know_them(tmp_path: Path) -> None:
    assert own_cold_items_first("BPR", cold_world(tmp_path / "data")) < 0.3


def test_controls_act_on_the_text(world: World) -> None:
    plain, centred, shuffled = (
        parts("MoRec", world, **keys).model.item_embedding.text
        for keys in ({}, {"llm_center": True}, {"llm_shuffle_items": True})
    )
    torch.testing.assert_close(centred, plain - plain.mean(dim=0), **SAME)
    assert not (shuffled == plain).all(dim=1).any()
    assert sorted(shuffled[:, 0].tolist()) == sorted(plain[:, 0].tolist())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"llm_embedding": "none"}, "MoRec computes its items from vectors; name a table"),
        ({"morec_mlp_layers": -1}, "morec_mlp_layers '-1' must be a whole number"),
        ({"morec_mlp_layers": 1.5}, "morec_mlp_layers '1.5' must be a whole number"),
        ({"morec_dropout": 1.0}, "morec_dropout '1.0' must be a number from 0 to below 1"),
        ({"morec_dropout": "some"}, "morec_dropout 'some' must be"),
        ({"morec_fusion": "sum"}, "morec_fusion 'sum' must be one of none, add, concat"),
        ({"morec_backbone": "lightgnc"}, "morec_backbone 'lightgnc'.*Did you mean 'lightgcn'"),
        ({"morec_users": "mean"}, "morec_users 'mean' must be one of table, pooled"),
    ],
)
def test_wrong_values_are_refused(keys: dict[str, Any], message: str, world: World) -> None:
    with pytest.raises(UserError, match=message):
        parts("MoRec", world, **keys)


def test_items_without_a_vector_are_refused_or_follow_the_policy(world: World) -> None:
    world.table("half", ids=world.tokens[:20], vectors=world.vectors[:20])
    with pytest.raises(UserError, match="20 of 40 items have no vector"):
        parts("MoRec", world, llm_embedding="half")
    made = parts("MoRec", world, llm_embedding="half", llm_missing="mean")
    rows = made.dataset.token2id("item_id", list(world.tokens[20:])) - 1
    text = made.model.item_embedding.text
    torch.testing.assert_close(
        text[rows[0]], text[made.dataset.token2id("item_id", list(world.tokens[:20])) - 1].mean(0)
    )
    assert config_of("MoRec", world)["morec_backbone"] == "mf"


def test_missing_vectors_are_made_before_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for LLMInit<X>, the items of a dataset that `prepare` made are encoded before the run."""
    made = []
    monkeypatch.setattr(
        "recbole_llminit.run.materialize.make_vectors", lambda *_: made.append(world.table("wanted")) or True
    )
    keys = ["--llm_embedding=wanted", "--epochs=1", f"--data_path={world.root}", "--topk=[5]"]
    assert (
        cli.main(["run", "--model=MoRec", f"--dataset={world.name}", "-q", "--valid_metric=MRR@5", *keys])
        == 0
    )
    assert len(made) == 1


@pytest.mark.parametrize("model", ["MoRec", "MoRecSASRec"])
@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--llm_embedding=gone", "no gone.safetensors in .*recbole-llminit encode tastes"),
        ("--morec_fusion=sum", "morec_fusion 'sum' must be one of"),
    ],
)
def test_the_command_line_says_so_in_one_line(
    model: str, flag: str, message: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    argv = ["run", f"--model={model}", f"--dataset={world.name}", f"--data_path={world.root}", flag]
    assert cli.main(argv) == 2
    error = capsys.readouterr().err.strip()
    assert re.search(message, error)
    assert error.count("\n") == 0
