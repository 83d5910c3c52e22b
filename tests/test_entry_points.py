"""RecBole's entry points work unchanged with the models of this package."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.quick_start import load_data_and_model, objective_function, run_recbole
from recbole.trainer import HyperTuning
from recbole.utils.case_study import full_sort_scores, full_sort_topk

import recbole_llminit
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, evaluated_afresh, parts, run, settings

MODEL = "LLMInitBPR"


def checkpoint() -> str:
    return str(next(Path("saved").glob("*.pth")))


def test_run_recbole_returns_what_recbole_returns(world: World) -> None:
    files = recbole_llminit.config_files(MODEL, world.name)
    result = run_recbole(MODEL, world.name, config_file_list=files, config_dict=settings(world))
    assert set(result) == {"best_valid_score", "valid_score_bigger", "best_valid_result", "test_result"}
    assert 0 < result["test_result"]["recall@5"] <= 1


def test_checkpoint_in_a_fresh_process(world: World) -> None:
    """`load_data_and_model` needs the package imported, and nothing else."""
    first = run(MODEL, world)
    assert evaluated_afresh(checkpoint(), "ndcg@5") == [MODEL, str(first["test"]["ndcg@5"])]


def test_case_study(world: World) -> None:
    run(MODEL, world)
    _, model, dataset, _, _, test = load_data_and_model(checkpoint())
    users = dataset.token2id("user_id", ["u1", "u2"])
    scores, items = full_sort_topk(users, model, test, k=5)
    assert items.shape == (2, 5)
    full = full_sort_scores(users, model, test)
    assert full.shape == (2, 41)
    torch.testing.assert_close(scores, full.topk(5).values)
    for row, user in enumerate(users):
        history = set(test.uid2history_item[user].tolist())
        assert len(history) == 9  # ten interactions, one held out
        assert not history & set(items[row].tolist())


def test_resume_goes_on_where_it_stopped(world: World) -> None:
    run(MODEL, world, epochs=2)
    saved = checkpoint()
    stopped, before = torch.load(saved, weights_only=False), Path(saved).read_bytes()
    made = parts(MODEL, world, epochs=5, resume=saved)
    made.trainer.fit(made.train, made.valid)
    assert list(made.trainer.train_loss_dict) == list(range(stopped["epoch"] + 1, 5))
    Path(saved).write_bytes(before)
    result = run(MODEL, world, epochs=5, resume=saved)
    assert result["epochs"] == 5
    first = stopped["epoch"] + 1
    assert result["curve"]["epochs"] == list(range(first, 5))
    assert len(result["curve"]["valid"]) == len(result["curve"]["loss"]) == 5 - first


def test_the_best_epoch_is_the_one_that_validation_likes_best(world: World) -> None:
    result = run(MODEL, world, epochs=5, learning_rate=0.1, stopping_step=2, seed=3)
    curve = result["curve"]
    best = max(
        range(len(curve["valid"])), key=lambda epoch: (curve["valid"][epoch], epoch)
    )  # the last of equal scores
    assert 0 < best < len(curve["valid"]) - 1
    assert (result["best_epoch"], curve["epochs"][best]) == (best, best)
    assert result["valid"][curve["metric"]] == pytest.approx(curve["valid"][best])
    seconds = result["seconds"]
    assert seconds["start_up"] + seconds["train"] + seconds["evaluate"] == pytest.approx(seconds["total"])
    assert min(seconds.values()) > 0


@pytest.mark.parametrize("model", ["LLMInitBPR", "BPR"])
def test_adam_has_the_weight_decay_that_it_is_given(model: str, world: World) -> None:
    (group,) = parts(model, world, weight_decay=0.3, learning_rate=0.02).trainer.optimizer.param_groups
    assert (group["weight_decay"], group["lr"]) == (0.3, 0.02)


def test_the_runs_seed_decides_what_is_drawn(world: World) -> None:
    drawn = [parts("LLMInitBPR", world, llm_selection="rand", seed=seed) for seed in (1, 1, 2)]
    rows = [made.model.item_embedding.weight[made.dataset.token2id("item_id", "i3")] for made in drawn]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_a_finished_checkpoint_stays_what_it_is(world: World) -> None:
    """Testing it again, however often, trains nothing and does not change the file."""
    first = run(MODEL, world, epochs=2, eval_step=0)  # without validation the last epoch is saved
    saved = checkpoint()
    before = Path(saved).read_bytes()
    for _ in range(2):
        again = run(MODEL, world, epochs=2, eval_step=0, resume=saved)
        assert (again["test"], again["curve"]["loss"]) == (first["test"], [])
        assert Path(saved).read_bytes() == before


def test_a_checkpoint_of_another_model_is_refused(world: World) -> None:
    run(MODEL, world, epochs=1)
    with pytest.raises(UserError, match="no checkpoint of this model and data"):
        run("LLMInitLightGCN", world, embedding_size=4, resume=checkpoint())


def test_entry_points_cross_process_borders() -> None:
    from recbole.quick_start import run

    for function in (run, run_recbole, objective_function):
        assert pickle.loads(pickle.dumps(function)) is function


def test_plain_feature_models_keep_their_columns() -> None:
    """RecBole's special columns for ml-100k stay with the protocol files of this package."""
    from recbole.config import Config

    for model in ("SASRecF", "LLMInitSASRecF"):
        config = Config(model, "ml-100k", config_file_list=recbole_llminit.config_files(model, "ml-100k"))
        assert "class" in config["load_col"]["item"]


@pytest.mark.slow
def test_a_spawned_process_finds_the_model(tmp_path: Path) -> None:
    """`run_recboles` starts processes that import the run script, whose import registers the models."""
    script = tmp_path / "script.py"
    script.write_text(
        "import recbole_llminit\n"
        "from recbole.utils import get_model\n"
        "import torch.multiprocessing as mp\n"
        "def look(rank):\n"
        "    from recbole.quick_start.quick_start import run_recboles\n"
        "    print(rank, get_model('LLMInitSGCL').__name__, run_recboles.__name__)\n"
        "if __name__ == '__main__':\n"
        "    mp.spawn(look, nprocs=1, join=True)\n"
    )
    out = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert out.stdout.split() == ["0", "LLMInitSGCL", "run_recboles"], out.stderr


@pytest.mark.parametrize("algo", ["exhaustive", "random", "bayes"])
def test_hyper_tuning(algo: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hyperopt")
    monkeypatch.setattr(sys, "argv", ["test", f"--model={MODEL}", f"--dataset={world.name}"])
    fixed = Path("fixed.yaml")
    keys = {**settings(world), "topk": [1, 5]}
    fixed.write_text("\n".join(f"{key}: {value}" for key, value in keys.items()))
    search = HyperTuning(
        objective_function,
        params_dict={"choice": {"llm_selection": ["var", "pca"], "learning_rate": [0.1, 0.001]}},
        fixed_config_file_list=[*recbole_llminit.config_files(MODEL, world.name), str(fixed)],
        algo=algo,
        max_evals=3,
    )
    search.run()
    assert len(search.params2result) == 4 if algo == "exhaustive" else 1 <= len(search.params2result) <= 3
    assert np.isfinite(search.best_score)
    assert set(search.best_params) == {"llm_selection", "learning_rate"}
