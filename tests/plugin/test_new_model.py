"""A new model needs one file, one spec and one YAML file; no file of the package names it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from recbole_llminit import cli, config_files
from recbole_llminit.experiment.grid import Run
from recbole_llminit.experiment.keys import carried_keys
from recbole_llminit.plugin import registry
from recbole_llminit.run.validate import known_keys
from tests.conftest import World, settings
from tests.plugin.leaning import SPEC


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    before = dict(registry._specs)
    registry.register(SPEC)
    known_keys.cache_clear()
    yield
    registry._specs.clear()
    registry._specs.update(before)
    registry.model_names.cache_clear()
    known_keys.cache_clear()


def command(world: World, *more: str, model: str = "Leaning") -> list[str]:
    keys = {**settings(world), "topk": "[1,5]", "result_file": "r.json"}
    return [
        "run",
        f"--model={model}",
        f"--dataset={world.name}",
        *(f"--{k}={v}" for k, v in keys.items()),
        *more,
    ]


def test_it_trains_with_its_own_defaults(world: World, caplog: pytest.LogCaptureFixture) -> None:
    assert cli.main(command(world)) == 0
    result = json.loads(Path("r.json").read_text())
    assert (result["model"], result["config"]["leaning_weight"], result["protocol"]) == (
        "Leaning",
        1.0,
        "masked",
    )
    assert "unknown config key" not in caplog.text
    assert config_files("Leaning", world.name)[1] == str(SPEC.properties)


def test_its_key_decides_its_scores(world: World) -> None:
    found = []
    for weight in ("0", "1000"):
        assert cli.main(command(world, f"--leaning_weight={weight}")) == 0
        found.append(json.loads(Path("r.json").read_text())["test"])
    assert found[0] != found[1]


def test_it_is_listed_and_may_be_started(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--list-models"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["general", "Leaning", "LLMInitLeaning"] in rows
    assert cli.main(command(world, model="LLMInitLeaning")) == 0
    assert len(json.loads(Path("r.json").read_text())["vectors"]) == 64


@pytest.mark.parametrize("model", ["Leaning", "LLMInitLeaning"])
def test_a_wrong_value_is_refused_before_the_run(
    model: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command(world, "--leaning_weight=-1", model=model)) == 2
    assert "error: leaning_weight '-1' must be a number from 0 on" in capsys.readouterr().err


def test_a_study_resolves_its_paths(tmp_path: Path) -> None:
    Path("here").mkdir()
    for model in ("Leaning", "LLMInitLeaning"):
        keys = {"protocol": "masked", "seed": 1, "leaning_file": "here", "allmrec_backbone": "here"}
        carried = carried_keys(Run(model, "mine", keys), tmp_path)
        assert carried["leaning_file"] == str(tmp_path / "here")
        assert carried["allmrec_backbone"] == "here"  # a key of another model
    assert carried_keys(Run("BPR", "mine", keys), tmp_path)["leaning_file"] == "here"
