"""CEASE, L3AE and TextProfile: scores, checkpoints, grids, what the text is for, and wrong input."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recbole.quick_start import load_data_and_model
from recbole.trainer import TraditionalTrainer

from recbole_llminit import cli
from recbole_llminit.plugin.trainer import PluginTrainer
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, novelties, parts, run

MODELS = ("CEASE", "L3AE", "TextProfile")
GRIDS: dict[str, dict[str, Any]] = {
    "CEASE": {"cease_weight": [0, 5, 500], "reg_weight": [1000.0, 10]},
    "L3AE": {"l3ae_lambdas": [[10, 1000, 0], [1, -50, 60], [100, 10, 5]]},
}
# The last interaction of each user is the test's, the one before it validation's.
IN_TIME = {
    "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
}


def solved(model: str, world: World, **keys: Any) -> SimpleNamespace:
    made = parts(model, world, **keys)
    made.trainer.fit(made.train, made.valid, saved=False)
    made.model.eval()
    return made


def scores(made: SimpleNamespace) -> torch.Tensor:
    users, *_ = next(iter(made.test))
    return made.model.full_sort_predict(users).view(len(users), -1)


def in_numpy(made: SimpleNamespace, world: World) -> tuple[np.ndarray, np.ndarray]:
    """Return the training counts (n_users, n_items) and the centred unit texts by RecBole's ids."""
    tokens = made.dataset.field2id_token["item_id"][1:]
    text = world.vectors[[int(token[1:]) for token in tokens]].astype(np.float32).astype(float)
    text -= text.mean(axis=0)
    text = np.pad(text / np.linalg.norm(text, axis=1, keepdims=True), ((1, 0), (0, 0)))
    return made.train._dataset.inter_matrix("csr").toarray(), text


@pytest.mark.parametrize("model", MODELS)
def test_recboles_traditional_trainer_takes_one_epoch_and_no_negatives(model: str, world: World) -> None:
    made = parts(model, world, epochs=300)
    assert isinstance(made.trainer, PluginTrainer)
    assert isinstance(made.trainer, TraditionalTrainer)
    assert made.trainer.epochs == 1
    assert set(next(iter(made.train)).columns) <= {"user_id", "item_id"}
    made.trainer.fit(made.train, made.valid, saved=False)
    assert len(made.trainer.valid_scores) == 1


def test_cease_without_text_is_recboles_ease(world: World) -> None:
    ours, theirs = (
        solved(model, world, reg_weight=30.0, **keys)
        for model, keys in (("CEASE", {"cease_weight": 0}), ("EASE", {}))
    )
    torch.testing.assert_close(scores(ours), scores(theirs), atol=1e-5, rtol=1e-5)
    users = next(iter(ours.test))[0]
    users.interaction["item_id"] = torch.arange(len(users)) % 40 + 1
    singles = [made.model.predict(copy.deepcopy(users)) for made in (ours, theirs)]
    torch.testing.assert_close(*singles, atol=1e-5, rtol=1e-5)


def test_cease_by_the_book(world: World) -> None:
    made = solved("CEASE", world, cease_weight=7, reg_weight=30)
    x, text = in_numpy(made, world)
    inverse = np.linalg.inv(x.T @ x + 7 * text @ text.T + 30 * np.eye(41))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    users = next(iter(made.test))[0]["user_id"].numpy()
    np.testing.assert_allclose(scores(made).numpy(), x[users] @ weights, atol=1e-5)


def test_l3ae_without_influence_of_the_text_is_ease(world: World) -> None:
    ease = scores(solved("EASE", world, reg_weight=30.0))
    torch.testing.assert_close(
        scores(solved("L3AE", world, l3ae_lambdas=[10, 30, 0])), ease, atol=1e-5, rtol=1e-5
    )
    assert not torch.allclose(scores(solved("L3AE", world, l3ae_lambdas=[10, 10, 20])), ease, atol=1e-3)


def test_text_profiles_are_means_times_texts(world: World) -> None:
    made = solved("TextProfile", world)
    x, text = in_numpy(made, world)
    users = next(iter(made.test))[0]["user_id"].numpy()
    means = x[users] / np.maximum(x[users].sum(axis=1, keepdims=True), 1) @ text
    np.testing.assert_allclose(scores(made).numpy(), means @ text.T, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_predict_agrees_with_full_sort(model: str, world: World) -> None:
    made = solved(model, world)
    users = next(iter(made.test))[0]
    pairs = copy.deepcopy(users)
    pairs.interaction["item_id"] = torch.arange(len(users)) % 40 + 1
    expected = scores(made)[torch.arange(len(users)), pairs["item_id"]]
    assert expected.std() > 0
    torch.testing.assert_close(made.model.predict(pairs), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_gives_the_same_scores(model: str, world: World) -> None:
    result = run(model, world, checkpoint_dir="here", **GRIDS.get(model, {}))
    _, loaded, _, _, _, test = load_data_and_model(str(next(Path("here").glob("*.pth"))))
    assert getattr(loaded, "chosen", None) == result["chosen"]
    alone = solved(model, world, **(result["chosen"] or {}))
    assert torch.equal(scores(SimpleNamespace(model=loaded.eval(), test=test)), scores(alone))


@pytest.mark.parametrize("model", GRIDS)
def test_a_grid_takes_the_point_that_validation_prefers(model: str, world: World) -> None:
    """Each point gives what it gives alone; the best one's weights are tested."""
    keys = {"valid_metric": "NDCG@5", "stopping_step": 0, "eval_step": 2, **GRIDS[model]}
    whole = run(model, world, **keys)
    points = parts(model, world, **keys).model.points
    alone = [run(model, world, **point) for point in points]
    valid = [result["valid"]["ndcg@5"] for result in alone]
    assert len(set(valid)) > 1
    best = len(valid) - 1 - int(np.argmax(valid[::-1]))  # of equals RecBole keeps the last
    assert whole["curve"]["valid"] == pytest.approx(valid)
    assert (whole["best_epoch"], whole["epochs"], whole["chosen"]) == (best, len(points), points[best])
    assert whole["test"] == alone[best]["test"]


def test_the_best_point_stays_without_a_checkpoint(world: World) -> None:
    keys = GRIDS["CEASE"] | {"cease_weight": [500, 5]}
    made = solved("CEASE", world, **keys)
    best = int(np.argmax(made.trainer.valid_scores))
    assert best < 3, "the world is to make another point than the last the best"
    assert made.model.chosen == made.model.points[best]
    torch.testing.assert_close(scores(made), scores(solved("CEASE", world, **made.model.points[best])))


@pytest.mark.parametrize("model", MODELS)
def test_text_finds_new_items_and_another_items_text_does_not(model: str, tmp_path: Path) -> None:
    """Three items of the user's group are left beside the three new ones, of which one is the test's."""
    world = novelties(tmp_path / "data")
    keys = {**IN_TIME, "topk": [6], "valid_metric": "NDCG@6"}
    assert run(model, world, **keys)["test"]["recall@6"] > 0.95
    for control in ("llm_shuffle_items", "llm_noise"):
        assert run(model, world, **{control: True}, **keys)["test"]["recall@6"] < 0.6


@pytest.mark.parametrize(
    ("model", "keys", "message"),
    [
        ("CEASE", {"cease_weight": -1}, r"cease_weight '-1' must be a number from 0 on, or a list"),
        ("CEASE", {"cease_weight": [5, float("nan")]}, r"cease_weight '\[5, nan\]' must be"),
        ("CEASE", {"cease_weight": []}, r"cease_weight '\[\]' must be"),
        ("CEASE", {"cease_weight": "much"}, "cease_weight 'much' must be"),
        ("CEASE", {"cease_weight": True}, "cease_weight 'True' must be"),
        ("CEASE", {"reg_weight": 0}, "reg_weight '0' must be a number above 0, or a list"),
        ("CEASE", {"reg_weight": [50, "x"]}, r"reg_weight '\[50, 'x'\]' must be"),
        ("CEASE", {"reg_weight": float("inf")}, "reg_weight 'inf' must be"),
        ("L3AE", {"l3ae_lambdas": 10}, "l3ae_lambdas '10' must be three numbers"),
        ("L3AE", {"l3ae_lambdas": []}, r"l3ae_lambdas '\[\]' must be three numbers"),
        ("L3AE", {"l3ae_lambdas": [10, 5]}, "must be three numbers"),
        ("L3AE", {"l3ae_lambdas": [[10, 5, 5], [10, 5]]}, "must be three numbers"),
        ("L3AE", {"l3ae_lambdas": [10, "a", 5]}, "must be three numbers"),
        ("L3AE", {"l3ae_lambdas": [10, float("nan"), 5]}, "must be three numbers"),
        ("L3AE", {"l3ae_lambdas": [0, 5, 5]}, "the ridge of the text above 0"),
        ("L3AE", {"l3ae_lambdas": [10, 50, -5]}, "pull towards the text from 0 on"),
        ("L3AE", {"l3ae_lambdas": [10, -50, 50]}, "sum of the last two above 0"),
        ("TextProfile", {"llm_shuffle_items": "yes"}, "llm_shuffle_items 'yes' must be true or false"),
        *(
            (m, {"llm_embedding": "none"}, f"llm_embedding 'none': {m} scores items by vectors")
            for m in MODELS
        ),
    ],
)
def test_wrong_values_are_refused_in_one_line(
    model: str, keys: dict[str, Any], message: str, world: World
) -> None:
    with pytest.raises(UserError, match=message) as refused:
        parts(model, world, **keys)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("model", "flag", "message"),
    [
        ("CEASE", "--cease_weight=-1", "cease_weight '-1' must be"),
        ("L3AE", "--l3ae_lambdas=[1,2]", "l3ae_lambdas '[1, 2]' must be"),
        ("TextProfile", "--llm_embedding=gone", "no gone.safetensors"),
        ("LLMInitCEASE", "--seed=1", "run CEASE itself"),
    ],
)
def test_the_command_line_refuses_them_before_the_run(
    model: str, flag: str, message: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["run", f"--model={model}", f"--dataset={world.name}", f"--data_path={world.root}", flag]
    assert cli.main(argv) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert error.count("\n") == 0


def test_a_catalogue_beyond_the_memory_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole_llminit.model import closed_form

    free = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=41**2 * 12 - 1))
    monkeypatch.setattr(closed_form, "psutil", free)
    with pytest.raises(UserError, match="CEASE on 41 items needs .* GB .*use LLMInitSSM or TextProfile"):
        parts("CEASE", world)
    assert parts("TextProfile", world).model.n_items == 41
