"""Which run made a checkpoint: plain values, and one line about the first that differs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from recbole_llminit.pretrained.identity import (
    SPLIT,
    differences,
    first_difference,
    identity,
    identity_of,
    inter_hash,
    line,
)
from tests.conftest import World, config_of

START = {"llm_embedding": "a", "llm_selection": "var", "vectors": "1" * 64}


def made(model: str, world: World, protocol: str = "masked", **keys: Any) -> dict[str, Any]:
    starts = model.startswith("LLMInit")
    config = config_of(model, world, protocol, **keys)
    return identity(config, vectors="1" * 64 if starts else None, starts=starts)


def test_it_is_plain(world: World) -> None:
    found = made("LLMInitBPR", world)
    assert json.loads(json.dumps(found)) == found
    assert (found["model"], found["dataset"], found["seed"]) == ("LLMInitBPR", "tastes", 2020)
    assert (found["order"], found["llm_selection"], found["vectors"]) == ("RO", "var", "1" * 64)
    inter = world.root / world.name / f"{world.name}.inter"
    assert found["inter"] == hashlib.sha256(inter.read_bytes()).hexdigest()


def test_a_plain_model_has_no_start_and_only_a_sequential_one_a_length(world: World) -> None:
    plain = made("BPR", world)
    assert not [name for name in plain if name.startswith("llm_") or name == "vectors"]
    assert "MAX_ITEM_LIST_LENGTH" not in plain
    assert made("SASRec", world, "sequential")["MAX_ITEM_LIST_LENGTH"] == 50


def test_without_vectors_no_key_of_the_start_has_an_effect(world: World) -> None:
    one, other = (made("LLMInitBPR", world, llm_embedding="none", llm_selection=s) for s in ("var", "svd"))
    assert one == other


def test_what_the_protocols_share_is_no_difference(world: World) -> None:
    """`masked` and `paper` differ in whether the history is masked, and not in the split."""
    assert differences(made("BPR", world), made("BPR", world, "paper")) is None


def test_benchmark_files_are_hashed_in_their_order(world: World) -> None:
    folder = world.root / world.name
    for part in ("train", "test"):
        (folder / f"{world.name}.{part}.inter").write_text(part)
    config = {"data_path": str(folder), "dataset": world.name, "benchmark_filename": ["train", "test"]}
    assert inter_hash(config) == hashlib.sha256(b"traintest").hexdigest()
    assert inter_hash({**config, "benchmark_filename": ["train", "gone"]}) is None


@pytest.mark.parametrize(
    ("saved", "here", "message"),
    [
        ({"seed": 1}, {"seed": 1}, None),
        ({}, {"seed": 1}, None),  # of a checkpoint that does not say
        ({"seed": 1}, {}, None),
        ({"seed": 1}, {"seed": 2}, "seed 1 there, 2 here; set seed as it was there, or train anew"),
        (START, {**START, "llm_embedding": "b"}, None),  # the same vectors by another name
        (START, {**START, "vectors": "2" * 64}, "vectors 111111111111 there, 222222222222 here; bring back"),
        (START, {**START, "vectors": None}, "vectors 111111111111 there, None here"),
        ({"llm_embedding": "a"}, {**START, "llm_embedding": "b"}, "llm_embedding a there, b here"),
    ],
)
def test_the_first_difference_in_one_line(
    saved: dict[str, Any], here: dict[str, Any], message: str | None
) -> None:
    found = differences(saved, here)
    assert (found is None) == (message is None)
    assert message is None or found.startswith(message)


def test_only_what_is_asked_for_is_compared() -> None:
    saved, here = {"model": "A", "seed": 1}, {"model": "B", "seed": 2}
    assert first_difference(saved, here) == ("model", "A", "B")
    assert first_difference(saved, here, only=SPLIT) == ("seed", 1, 2)


def test_a_split_is_mended_by_its_protocol() -> None:
    assert line("order", "RO", "TO") == (
        "order RO there, TO here; choose that run's protocol or eval_args, or train anew"
    )


def test_an_older_checkpoint_says_what_its_config_says(world: World) -> None:
    found = identity_of({"config": config_of("LLMInitBPR", world, "masked")}, split_keys=("topk",))
    assert differences(found, made("LLMInitBPR", world)) is None
    assert found["topk"] == [1, 5]
    assert "inter" not in found
    assert "vectors" not in found
    assert differences(found, made("LLMInitBPR", world, llm_center=True)).startswith("llm_center False there")
