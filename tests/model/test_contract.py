"""What every model promises: tests for each RecBole model with an item table, and for this package's models.

The host model of ``LLMInit<X>`` is the RecBole model X beneath it.
"""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recbole.quick_start import load_data_and_model

from tests.conftest import World, parts, run, tastes

GENERAL = ("BPR", "ConvNCF", "DGCF", "ENMF", "LightGCN", "LINE", "MacridVAE", "MixSGCL", "NGCF", "NNCF")
GENERAL += ("SGCL", "SGL", "SpectralCF", "SSM")
SEQUENTIAL = ("BERT4Rec", "Caser", "CORE", "FOSSIL", "GRU4Rec", "HGN", "HRM", "LightSANs", "NARM")
SEQUENTIAL += ("NextItNet", "NPE", "SASRec", "SHAN", "SINE", "SRGNN", "STAMP", "TransRec")
READERS = {"MoRec": "LightGCN", "MoRecSASRec": "SASRec"}  # models that read vectors, and what they extend
MODELS = {f"LLMInit{host}": host for host in GENERAL + SEQUENTIAL} | READERS
# Keys that make a model small, or let it fit a world of 40 items.
SMALL: dict[str, dict[str, Any]] = {
    "ConvNCF": {
        "embedding_size": 16,
        "cnn_channels": [1, 4, 4],
        "cnn_kernels": [4, 4],
        "cnn_strides": [4, 4],
    },
    "NNCF": {
        "ui_embedding_size": 8,
        "neigh_embedding_size": 8,
        "num_conv_kernel": 4,
        "conv_kernel_size": 3,
        "pool_kernel_size": 3,
        "neigh_num": 5,
    },
    "NGCF": {"hidden_size_list": [8, 8]},
    "SINE": {"prototype_size": 8, "interest_size": 2},
    "NextItNet": {"block_num": 1},
    "FOSSIL": {"high_order_L": 2},
}
SMALL |= {
    name: {"n_heads": 2, "inner_size": 16, "n_layers": 1} for name in ("SASRec", "BERT4Rec", "LightSANs")
}
SMALL |= {"LLMInitSSM": {"llm_selection": "var"}}  # SSM's default start is another one
SMALL |= {"MoRec": {"morec_backbone": "lightgcn", "morec_mlp_layers": 1, "morec_fusion": "concat"}}

DISAGREE = {
    "CORE": "RecBole's CORE normalises item vectors in full_sort_predict and not in predict",
    "SHAN": "RecBole's SHAN reads the sequence reversed in predict and not in full_sort_predict",
}


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tastes(tmp_path_factory.mktemp("contract") / "data")


def small(model: str) -> dict[str, Any]:
    return SMALL.get(MODELS[model], {}) | SMALL.get(model, {})


def build(model: str, world: World, **keys: Any) -> SimpleNamespace:
    return parts(model, world, **small(model), **keys)


@pytest.mark.parametrize("host", GENERAL + SEQUENTIAL)
class TestInitialised:
    """What `LLMInit<X>` takes from the vectors, and what stays as in X."""

    def test_item_table_starts_from_the_vectors(self, host: str, shared_world: World) -> None:
        """It holds the k dimensions of highest variance, in RecBole's id order; the padding row is zero."""
        made = build(f"LLMInit{host}", shared_world)
        table = made.model.item_embedding.weight.detach().numpy()
        tokens = made.dataset.field2id_token["item_id"][1:]
        vectors = shared_world.vectors[[int(token[1:]) for token in tokens]]
        best = np.sort(np.argsort(-vectors.var(axis=0))[: table.shape[1]])
        assert not table[0].any()
        np.testing.assert_allclose(table[1 : len(vectors) + 1], vectors[:, best], atol=1e-6)

    def test_without_vectors_it_is_the_host(self, host: str, shared_world: World) -> None:
        """Defaults, trainer, loader and initialiser are the host model's: the first epoch's loss is equal."""
        trainers, losses = [], []
        for model in (f"LLMInit{host}", host):
            made = parts(model, shared_world, llm_embedding="none", **SMALL.get(host, {}))
            trainers.append(type(made.trainer).__name__)
            losses.append(np.sum(made.trainer._train_epoch(made.train, 0)))
        assert trainers[0] == trainers[1]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("model", MODELS)
class TestContract:
    """What holds for all models."""

    def test_vectors_change_neither_candidates_nor_split(self, model: str, shared_world: World) -> None:
        plain = parts(MODELS[model], shared_world, **SMALL.get(MODELS[model], {}))
        made = build(model, shared_world)
        assert made.dataset.item_num == plain.dataset.item_num == 41
        for mine, theirs in ((made.train, plain.train), (made.test, plain.test)):
            assert type(mine) is type(theirs)
            for field in ("user_id", "item_id"):
                assert torch.equal(mine._dataset.inter_feat[field], theirs._dataset.inter_feat[field])

    def test_loss_falls(self, model: str, shared_world: World) -> None:
        made = build(model, shared_world, learning_rate=0.01)
        losses = [np.sum(made.trainer._train_epoch(made.train, epoch)) for epoch in range(6)]
        assert np.isfinite(losses).all()
        assert min(losses[3:]) < losses[0]

    def test_predict_agrees_with_full_sort(self, model: str, shared_world: World) -> None:
        if reason := DISAGREE.get(MODELS[model]):
            pytest.skip(reason)
        made = build(model, shared_world)
        made.trainer._train_epoch(made.train, 0)
        made.model.eval()
        users, *_ = next(iter(made.test))
        n = len(users)
        with torch.no_grad():
            try:
                full = made.model.full_sort_predict(copy.deepcopy(users)).view(n, -1)
            except NotImplementedError:
                pytest.skip(f"RecBole's {MODELS[model]} has no full_sort_predict")
            items = torch.arange(n) % 40 + 1
            pairs = copy.deepcopy(users)
            pairs.interaction["item_id"] = items
            single = made.model.predict(pairs)
        torch.testing.assert_close(single.flatten(), full[torch.arange(n), items], atol=1e-4, rtol=1e-4)

    def test_same_seed_same_numbers_and_reload_bit_equal(self, model: str, shared_world: World) -> None:
        first = run(model, shared_world, checkpoint_dir="a", **small(model))
        again = run(model, shared_world, checkpoint_dir="b", **small(model))
        assert first["valid"] == again["valid"]
        assert first["test"] == again["test"]
        files = [next(Path(folder).glob("*.pth")) for folder in ("a", "b")]
        states = [torch.load(file, weights_only=False)["state_dict"] for file in files]
        _, loaded, *_ = load_data_and_model(str(files[0]))
        for name, value in loaded.state_dict().items():
            assert torch.equal(value, states[0][name]), name
            assert torch.equal(value, states[1][name]), name
            assert value.device.type == "cpu"
