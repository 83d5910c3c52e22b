"""Fixed candidates are the same for every model and batch, and are items that the user has not had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recbole_llminit.utils.errors import UserError
from tests.conftest import SMALL, World, parts, tastes

MODE: dict[str, Any] = {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "uni7"}
FILE = "candidates.jsonl"


def candidates(model: str, world: World, **keys: Any) -> dict[tuple[str, str], list[str]]:
    """Return the other candidates, in order, of each (user, target item) in a model's test loader."""
    made = parts(model, world, "sequential", **{"eval_args": MODE, "candidates_file": FILE, **SMALL, **keys})
    names = made.dataset.field2id_token
    found = {}
    for batch, rows, _, targets in made.test:
        for row in rows.unique():
            items = names["item_id"][batch["item_id"][rows == row]]
            user = names["user_id"][batch["user_id"][rows == row]][0]
            assert items[0] == names["item_id"][targets[row]]
            found[user, items[0]] = list(items[1:])
    return found


def taken(world: World) -> dict[str, list[str]]:
    by_user: dict[str, list[str]] = {}
    for line in (world.root / "tastes" / "tastes.inter").read_text().splitlines()[1:]:
        user, item, _ = line.split("\t")
        by_user.setdefault(user, []).append(item)
    return by_user


def test_others_are_distinct_and_not_taken(world: World) -> None:
    history = taken(world)
    found = candidates("SASRec", world)
    assert len(found) == 60
    for (user, target), others in found.items():
        assert target == history[user][-1]
        assert len(set(others)) == len(others) == 7
        assert not set(others) & set(history[user])


def test_every_model_batch_and_validation_ranks_the_same(world: World) -> None:
    first = candidates("SASRec", world)
    again = candidates("SASRec", world, eval_batch_size=16)
    general = candidates("BPR", world)
    Path(FILE).unlink()
    drawn_again = candidates("BPR", world)
    assert first == again == general == drawn_again
    Path(FILE).unlink()
    assert candidates("SASRec", world, seed=5) != first


def test_the_file_holds_tokens(world: World) -> None:
    found = candidates("SASRec", world)
    lines = [json.loads(line) for line in Path(FILE).read_text().splitlines()]
    test = {(row["user"], row["item"]): row["others"] for row in lines if row["phase"] == "test"}
    assert test == found
    assert {row["phase"] for row in lines} == {"valid", "test"}


def test_a_full_ranking_is_left_alone(world: World) -> None:
    made = parts("SASRec", world, "sequential", candidates_file=FILE, **SMALL)
    assert Path(FILE).read_text() == ""
    assert len(next(iter(made.test))[0]) == 60


def test_a_draw_by_popularity_is_refused(world: World) -> None:
    with pytest.raises(UserError, match="candidates_file holds items drawn uniformly, not by popularity"):
        candidates("BPR", world, eval_args={**MODE, "mode": "pop7"})
    assert not Path(FILE).exists()


def test_without_the_key_recbole_draws(world: World) -> None:
    made = parts("SASRec", world, "sequential", eval_args=MODE, **SMALL)
    assert type(made.test._sampler).__name__ == "RepeatablePairSampler"


@pytest.mark.parametrize(
    "content",
    ["nonsense\n", '{"phase": "test"}\n', '{"phase": "x", "user": "u1", "item": "i1", "others": []}\n'],
)
def test_a_damaged_file(content: str, world: World) -> None:
    Path(FILE).write_text(content)
    with pytest.raises(UserError, match="is not of this dataset, or damaged"):
        candidates("SASRec", world)


def test_a_file_of_another_split_or_size(world: World) -> None:
    candidates("SASRec", world)
    with pytest.raises(UserError, match="holds no 9 candidates for user"):
        candidates("SASRec", world, eval_args={**MODE, "mode": "uni9"})
    lines = Path(FILE).read_text().splitlines()
    Path(FILE).write_text("\n".join(lines[:-1]))
    with pytest.raises(UserError, match="holds no 7 candidates .* of the test part: it is of another split"):
        candidates("SASRec", world)


def test_too_few_items_to_draw(tmp_path: Path) -> None:
    small = tastes(tmp_path / "small", items=14)
    with pytest.raises(UserError, match="has not taken 4 items, fewer than the 7"):
        candidates("SASRec", small)
    assert not Path(FILE).exists()
