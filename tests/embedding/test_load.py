"""Test the loading of the table that `llm_embedding` names: the search, the checks and the alignment."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from recbole_llminit.embedding.load import find_table, load_item_vectors
from recbole_llminit.embedding.matrix import from_matrix
from recbole_llminit.embedding.table import save
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, config_of, parts


def dataset_of(world: World) -> Any:
    tokens = np.array(["[PAD]", *reversed(world.tokens)])
    return SimpleNamespace(iid_field="item_id", field2id_token={"item_id": tokens}, item_num=len(tokens))


def test_vectors_come_in_recboles_order(world: World) -> None:
    loaded = load_item_vectors(config_of("LLMInitBPR", world), dataset_of(world))
    assert loaded is not None
    np.testing.assert_allclose(loaded.matrix[1:], world.vectors[::-1].astype(np.float32))


def test_none_loads_nothing(world: World) -> None:
    for value in ("none", None):
        assert (
            load_item_vectors(config_of("LLMInitBPR", world, llm_embedding=value), dataset_of(world)) is None
        )


def test_by_name_by_path_and_as_text(world: World, tmp_path: Path) -> None:
    by_name = find_table(config_of("LLMInitBPR", world, llm_embedding="all-mpnet-base-v2"))
    assert find_table(config_of("LLMInitBPR", world, llm_embedding=str(by_name))) == by_name
    text = world.root / world.name / f"{world.name}.itememb"
    from recbole_llminit.embedding.table import load

    save(load(by_name), text)
    config = config_of("LLMInitBPR", world, llm_embedding="itememb")
    assert find_table(config) == text
    binary = load_item_vectors(config_of("LLMInitBPR", world), dataset_of(world))
    np.testing.assert_array_equal(load_item_vectors(config, dataset_of(world)).matrix, binary.matrix)


def test_a_text_form_made_by_another_tool_loads_without_a_card(world: World) -> None:
    text = world.root / world.name / f"{world.name}.itememb"
    rows = [f"{token}\t{i} 1" for i, token in enumerate(world.tokens)]
    text.write_text("\n".join(["iid:token\tllm_emb:float_seq", *rows]) + "\n")
    loaded = load_item_vectors(config_of("LLMInitBPR", world, llm_embedding="itememb"), dataset_of(world))
    assert loaded.hash is None


def test_a_missing_table_is_named_with_those_there_are(world: World) -> None:
    with pytest.raises(UserError, match=r"tables there: all-mpnet-base-v2.*recbole-llminit encode tastes"):
        find_table(config_of("LLMInitBPR", world, llm_embedding="minilm"))
    with pytest.raises(UserError, match="no such file"):
        find_table(config_of("LLMInitBPR", world, llm_embedding="gone.safetensors"))


def test_other_texts_are_refused_with_both_hashes(world: World, tmp_path: Path) -> None:
    folder = world.root / world.name
    item_file = folder / f"{world.name}.item"
    rows = [f"{token}\ttitle {token}" for token in world.tokens]
    item_file.write_text("\n".join(["item_id:token\ttitle:token_seq", *rows]) + "\n")
    np.save(tmp_path / "v.npy", world.vectors.astype(np.float32))
    (tmp_path / "ids.txt").write_text("\n".join(world.tokens))
    table = from_matrix(
        tmp_path / "v.npy",
        tmp_path / "ids.txt",
        encoder="e",
        template="{title}",
        item_file=item_file,
        command="again",
    )
    save(table, folder / "checked.safetensors")
    config = config_of("LLMInitBPR", world, llm_embedding="checked")
    assert load_item_vectors(config, dataset_of(world)).hash == table.card.vectors_sha256
    item_file.write_text(item_file.read_text().replace("title i3\n", "another\n"))
    with pytest.raises(
        UserError, match=r"made from other texts.*\(texts \w{12}, card \w{12}\); encode again: again"
    ):
        load_item_vectors(config, dataset_of(world))


def test_filtered_items_need_no_vector_and_stay_out(world: World) -> None:
    """A k-core removes items; RecBole's vocabulary does not depend on the items of the table."""
    filters = {"item_inter_num_interval": "[14,inf)"}
    plain = parts("BPR", world, **filters)
    made = parts("LLMInitBPR", world, **filters)
    assert made.dataset.item_num == plain.dataset.item_num < 41


@pytest.mark.parametrize("policy", ["mean", "zero"])
def test_items_without_a_vector_follow_the_policy(world: World, policy: str) -> None:
    world.table("half", ids=world.tokens[:20], vectors=world.vectors[:20])
    with pytest.raises(UserError, match="20 of 40 items have no vector"):
        parts("LLMInitBPR", world, llm_embedding="half")
    made = parts("LLMInitBPR", world, llm_embedding="half", llm_missing=policy)
    table = made.model.item_embedding.weight.detach().numpy()
    rows = made.dataset.token2id("item_id", list(world.tokens[20:]))
    assert np.isfinite(table).all()
    assert (table[rows] == table[rows][0]).all()
    assert table[rows].any() == (policy == "mean")


def test_full_widens_the_host(world: World) -> None:
    for model in ("LLMInitBPR", "LLMInitSASRec", "LLMInitNNCF"):
        made = parts(model, world, llm_selection="full", n_heads=2, neigh_num=5)
        assert made.model.item_embedding.embedding_dim == world.vectors.shape[1]


def test_an_embedding_wider_than_the_vectors_is_refused(world: World) -> None:
    with pytest.raises(UserError, match="25 must not exceed the vectors' 24"):
        parts("LLMInitBPR", world, embedding_size=25)


def test_users_without_training_items_start_at_zero(world: World) -> None:
    """A random split leaves some users without training items; SGL's loss over all users stays finite."""
    made = parts(
        "LLMInitSGL",
        world,
        eval_args={"split": {"RS": [0.2, 0.4, 0.4]}, "group_by": "none", "order": "RO", "mode": "full"},
    )
    degrees = np.asarray(made.train._dataset.inter_matrix("csr").sum(axis=1)).ravel()
    table = made.model.user_embedding.weight.detach().numpy()
    assert (degrees[1:] == 0).any()
    assert not table[degrees == 0].any()
    assert np.isfinite(made.trainer._train_epoch(made.train, 0))
