"""Whichever trainer RecBole chooses is subclassed; plain RecBole runs keep RecBole's trainer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.trainer import NCLTrainer, TraditionalTrainer, Trainer
from recbole.utils import get_model, get_trainer

from recbole_llminit.evaluation.full_ranking import FullRankingLoader, ListCollector
from recbole_llminit.plugin.trainer import PluginTrainer, trainers
from tests.conftest import World, parts, run, settings


@pytest.mark.parametrize(
    ("model", "host"), [("BPR", Trainer), ("Pop", TraditionalTrainer), ("SGCL", Trainer)]
)
def test_ours_is_recboles_with_more(model: str, host: type, world: World) -> None:
    trainer = parts(model, world).trainer
    assert isinstance(trainer, PluginTrainer)
    assert isinstance(trainer, host)
    assert (type(trainer).__name__, type(trainer).host) == (host.__name__, host)
    assert isinstance(trainer.eval_collector, ListCollector)


def test_a_trainer_of_a_models_own_is_taken() -> None:
    from recbole.utils import ModelType

    found = get_trainer(ModelType.GENERAL, "NCL")
    assert issubclass(found, NCLTrainer)
    assert found is get_trainer(ModelType.GENERAL, "NCL")  # the subclass is cached


def test_a_plain_recbole_run_is_recboles(world: World) -> None:
    """Without this package's models and property files, RecBole's trainer, loader and collector are used."""
    config = Config("BPR", world.name, config_dict=settings(world))
    train, _, test = data_preparation(config, create_dataset(config))
    model = get_model("BPR")(config, train._dataset)
    with trainers() as made:
        trainer = get_trainer(config["MODEL_TYPE"], "BPR")(config, model)
    assert type(trainer) is Trainer
    assert not isinstance(test, FullRankingLoader)
    assert not isinstance(trainer.eval_collector, ListCollector)
    assert made == []


def test_only_our_models_adam_takes_one_pass(world: World) -> None:
    assert parts("LLMInitBPR", world).trainer.optimizer.defaults["fused"] is True
    assert not parts("BPR", world).trainer.optimizer.defaults["fused"]


def test_scores_and_moments_are_kept(world: World) -> None:
    made = parts("LLMInitBPR", world, epochs=3)
    with torch.no_grad():
        made.trainer.evaluate(made.test, load_best_model=False)
    assert made.trainer.valid_scores == []
    made.trainer.fit(made.train, made.valid, saved=False)
    assert len(made.trainer.valid_scores) == 3
    assert max(made.trainer.valid_scores) == made.trainer.best_valid_score
    assert made.trainer.fit_end > made.trainer.fit_start
    assert made.trainer.last_evaluated is made.valid


def test_counts_are_of_the_whole_dataset_whatever_is_taken_from_training(world: World) -> None:
    assert run("LLMInitBPR", world, cold_items=0.3)["counts"] == {
        "users": 60,
        "items": 40,
        "interactions": 600,
    }


def test_trainers_within_a_block_alone(world: World) -> None:
    with trainers() as made:
        parts("BPR", world)
    parts("BPR", world)
    assert len(made) == 1
    assert not list(Path().glob("*.json"))
