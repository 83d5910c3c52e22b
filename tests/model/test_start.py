"""The checkpoint holds the fitted projection, so that later items get the rows that they would have had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.quick_start import load_data_and_model

from recbole_llminit.initialize import Projection
from tests.conftest import World, parts, run


def trained(model: str, world: World, **keys: Any) -> tuple[Path, dict[str, Any]]:
    """Train for an epoch; return the checkpoint and the `other_parameter` that RecBole keeps in it."""
    run(model, world, epochs=1, checkpoint_dir="saved", **keys)
    file = next(Path("saved").glob("*.pth"))
    return file, torch.load(file, weights_only=False)["other_parameter"]


def by_id(world: World, dataset: Any) -> np.ndarray:
    """Return the items' vectors, float32, in the order of RecBole's ids, without the padding."""
    tokens = dataset.field2id_token["item_id"][1:]
    return world.vectors[[int(token[1:]) for token in tokens]].astype(np.float32)


@pytest.mark.parametrize(
    "keys",
    [
        {"llm_selection": "var"},
        {"llm_selection": "whiten", "llm_center": True, "llm_rescale": "host"},
        {"llm_selection": "var", "llm_selection_scope": "popular", "llm_rescale": 0.1},
        {"llm_selection": "full", "llm_center": True},
    ],
)
def test_the_checkpoint_gives_the_rows_of_the_start(keys: dict[str, Any], world: World) -> None:
    _, other = trained("LLMInitBPR", world, **keys)
    projection = Projection.from_state(other["llm_projection"])
    made = parts("LLMInitBPR", world, **keys)
    start = made.model.item_embedding.weight.detach().numpy()[1:]
    vectors = by_id(world, made.dataset)
    np.testing.assert_array_equal(projection(vectors), start)
    # A new item with the vector of a catalogue item gets that item's row; other vectors get other rows.
    np.testing.assert_allclose(projection(vectors[4:5]), start[4:5], rtol=1e-5, atol=1e-6)
    new = np.random.default_rng(1).normal(size=(2, vectors.shape[1]))
    rows = projection(new)
    assert rows.shape == (2, start.shape[1])
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    scale = projection.scale if projection.scale is not None else 1.0
    if keys["llm_selection"] == "var":
        best = projection.columns
        np.testing.assert_allclose(rows, new[:, best] * scale, rtol=1e-5)


def test_the_hosts_own_entries_stay_beside_it(world: World) -> None:
    file, other = trained("LLMInitLightGCN", world)
    assert set(other) == {"restore_user_e", "restore_item_e", "llm_projection"}
    model = load_data_and_model(str(file))[1]
    mine, saved = model.llm_projection, other["llm_projection"]
    assert mine.keys() == saved.keys() == {"width", "columns"}
    assert torch.equal(mine["columns"], saved["columns"])


def test_without_vectors_there_is_none(world: World) -> None:
    _, other = trained("LLMInitBPR", world, llm_embedding="none")
    assert other == {}
    assert not hasattr(parts("LLMInitBPR", world, llm_embedding="none").model, "llm_projection")


@pytest.mark.parametrize("model", ["LLMInitBPR", "LLMInitLightGCN"])
def test_older_checkpoints_load(model: str, world: World) -> None:
    """They hold no projection, so the model keeps the one that it fitted when it was built."""
    file, other = trained(model, world)
    saved = torch.load(file, weights_only=False)
    del saved["other_parameter"]["llm_projection"]
    torch.save(saved, file)
    loaded = load_data_and_model(str(file))[1]
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, saved["state_dict"][name]), name
    assert torch.equal(loaded.llm_projection["columns"], other["llm_projection"]["columns"])
