"""Numbers on a CUDA device equal those on the CPU; without such a device the tests are skipped."""

from __future__ import annotations

import pytest
import torch

from tests.conftest import World, parts

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize(
    "model",
    ["LLMInitLightGCN", "LLMInitSGL", "LLMInitSGCL", "LLMInitBPR", "LLMInitSASRec", "MoRec", "MoRecSASRec"],
)
def test_scores_and_metrics_equal_the_cpus(model: str, world: World) -> None:
    made = {gpu: parts(model, world, use_gpu=gpu, gpu_id="0", n_heads=2) for gpu in (True, False)}
    assert made[True].config["device"].type == "cuda"
    results = []
    for run in made.values():
        run.trainer.eval_collector.data_collect(run.train)
        results.append(run.trainer.evaluate(run.test, load_best_model=False))
    assert results[0] == results[1]


@pytest.mark.parametrize("model", ["LLMInitLightGCN", "LLMInitSGL", "LLMInitSGCL", "LLMInitMixSGCL", "MoRec"])
@pytest.mark.parametrize("mixed", [False, True])
def test_training_lowers_the_loss(model: str, mixed: bool, world: World) -> None:
    made = parts(model, world, use_gpu=True, gpu_id="0", enable_amp=mixed, learning_rate=0.01)
    losses = [made.trainer._train_epoch(made.train, epoch) for epoch in range(5)]
    assert losses[-1] < losses[0]
