"""Parity: with the same weights, losses, scores and metrics equal those of RecBole's models."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from tests.conftest import World, parts, run

SAME = {"atol": 1e-5, "rtol": 1e-5}


def twins(host: str, world: World, **keys: object) -> tuple[object, object, object]:
    """Return ``LLMInit<host>``, RecBole's `host` with the same weights, and a training batch."""
    ours, theirs = (parts(model, world, **keys) for model in (f"LLMInit{host}", host))
    theirs.model.load_state_dict(ours.model.state_dict())
    return ours.model, theirs.model, next(iter(theirs.train))


@pytest.mark.parametrize("layers", [1, 3])
def test_lightgcn(world: World, layers: int) -> None:
    ours, theirs, batch = twins("LightGCN", world, n_layers=layers, reg_weight=0.1)
    losses = [model.calculate_loss(batch) for model in (ours, theirs)]
    torch.testing.assert_close(*losses, **SAME)
    for loss in losses:
        loss.backward()
    for name in ("user_embedding", "item_embedding"):
        mine, other = (getattr(model, name).weight.grad for model in (ours, theirs))
        torch.testing.assert_close(mine, other, **SAME)
    torch.testing.assert_close(*(model.full_sort_predict(batch) for model in (ours, theirs)), **SAME)
    torch.testing.assert_close(*(model.predict(batch) for model in (ours, theirs)), **SAME)


@pytest.mark.parametrize("views", ["ED", "ND", "RW"])
def test_sgl(world: World, views: str) -> None:
    ours, theirs, batch = twins("SGL", world, type=views)
    losses = []
    for model in (ours, theirs):
        np.random.seed(1)
        model.train()  # draws the views
        losses.append(model.calculate_loss(batch))
        losses[-1].backward()
    torch.testing.assert_close(*losses, **SAME)
    mine, other = (model.item_embedding.weight.grad for model in (ours, theirs))
    torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(*(model.full_sort_predict(batch) for model in (ours, theirs)), **SAME)


@pytest.mark.parametrize("protocol", ["masked", "paper"])
@pytest.mark.parametrize("model", ["LLMInitLightGCN", "BPR", "ConvNCF"])
def test_metrics_do_not_depend_on_the_evaluation_batch(model: str, protocol: str, world: World) -> None:
    """RecBole's batches (with an explicit `eval_batch_size`) and this package's give the same numbers."""
    keys = {"cnn_channels": [1, 4, 4], "cnn_kernels": [4, 4], "cnn_strides": [4, 4], "embedding_size": 16}
    ours = run(model, world, protocol, **keys)
    theirs = run(model, world, protocol, eval_batch_size=41, **keys)
    seven = run(model, world, protocol, users_per_batch=7, **keys)
    assert ours["test"] == theirs["test"] == seven["test"]
    assert ours["valid"] == theirs["valid"]


def test_ranking_metrics_equal_a_direct_count(world: World) -> None:
    """Recall@5 and NDCG@5 of the test are counted from the scores."""
    made = parts("LLMInitSGCL", world)
    made.trainer.fit(made.train, made.valid, saved=False)
    result = made.trainer.evaluate(made.test, load_best_model=False)
    recall, ndcg = [], []
    users = made.test.uid_list
    with torch.no_grad():
        scores = made.model.full_sort_predict({"user_id": users}).view(len(users), -1).numpy().copy()
    seen = made.train._dataset.inter_matrix("csr") + made.valid._dataset.inter_matrix("csr")
    target = made.test._dataset.inter_matrix("csr")
    for user, row in zip(users.tolist(), scores, strict=True):
        row[0] = row[seen[user].indices] = -np.inf
        rank = int((row > row[target[user].indices[0]]).sum())
        recall.append(rank < 5)
        ndcg.append(1 / np.log2(rank + 2) if rank < 5 else 0)
    assert result["recall@5"] == pytest.approx(np.mean(recall), abs=5e-5)
    assert result["ndcg@5"] == pytest.approx(np.mean(ndcg), abs=5e-5)


def test_plain_models_are_left_alone(world: World) -> None:
    """A plain RecBole run, without this package's property files, has RecBole's defaults and batches."""
    from recbole.config import Config

    config = Config("BPR", world.name, config_dict={"data_path": str(world.root)})
    assert config["embedding_size"] == 64
    assert config["users_per_batch"] is None
    assert config["protocol"] is None
    assert copy.deepcopy(config["train_neg_sample_args"])["distribution"] == "uniform"
