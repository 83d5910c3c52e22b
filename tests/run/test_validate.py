"""Validation makes nothing; missing data are made afterwards, and only if all values are right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recbole_llminit.run import materialize, validate
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, settings

RECIPE = "beauty"  # a dataset that has a recipe and is not prepared


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace preparing and encoding by functions that note their call in the returned list."""
    done: list[str] = []

    def prepare(name: str, _: Any, data_path: Path, **__: Any) -> None:
        done.append("prepare")
        folder = data_path / name
        folder.mkdir(parents=True)
        (folder / f"{name}.inter").write_text("user_id:token\titem_id:token\nu\ti\n")

    monkeypatch.setattr("recbole_llminit.prepare.pipeline.prepare", prepare)
    monkeypatch.setattr(materialize, "make_vectors", lambda *_: done.append("encode"))
    return done


def overrides(root: Path, **keys: object) -> dict[str, str]:
    import sys

    sys.argv = ["test", *(f"--{key}={value}" for key, value in {"data_path": root, **keys}.items())]
    return {key: str(value) for key, value in {"data_path": root, **keys}.items()}


def test_validation_makes_nothing(made: list[str], tmp_path: Path) -> None:
    root = tmp_path / "data"
    request = validate.read_request("LLMInitBPR", RECIPE, (), overrides(root))
    validate.check_values(request)
    with pytest.raises(UserError, match="unknown dataset 'beauty'.*make one of .*beauty"):
        validate.check_dataset(request)
    with pytest.raises(UserError, match="no all-mpnet-base-v2.safetensors"):
        validate.check_vectors(request)
    assert made == []
    assert not root.exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"llm_selection": "best"}, "llm_selection 'best'"),
        ({"cold_items": 2}, "cold_items '2'"),
        ({"users_per_batch": 0}, "users_per_batch '0'"),
        ({"group_metrics": "perhaps"}, "group_metrics 'perhaps'"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_made(
    keys: dict[str, object], message: str, made: list[str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        materialize.ready("LLMInitBPR", RECIPE, (), overrides(tmp_path / "data", **keys))
    assert made == []


def test_what_is_missing_is_made_in_order(made: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no all-mpnet-base-v2.safetensors"):  # encoding is replaced
        materialize.ready("LLMInitBPR", RECIPE, (), overrides(tmp_path / "data"))
    assert made == ["prepare", "encode"]


def test_a_plain_model_needs_no_vectors(made: list[str], tmp_path: Path) -> None:
    files = materialize.ready("BPR", RECIPE, (), overrides(tmp_path / "data"))
    assert made == ["prepare"]
    assert [Path(file).name for file in files] == ["overall.yaml", "beauty.yaml", "masked.yaml"]


def test_nothing_is_made_of_what_is_there(made: list[str], world: World) -> None:
    keys = {key: value for key, value in settings(world).items() if key not in ("topk", "data_path")}
    materialize.ready("LLMInitBPR", world.name, (), overrides(world.root, **keys))
    assert made == []
