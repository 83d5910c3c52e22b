"""Test vector tables: both file formats have the same content, and damaged or wrong files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recbole_llminit.dataset.places import SHIPPED
from recbole_llminit.embedding.align import align
from recbole_llminit.embedding.table import Card, VectorTable, card_path, load, save
from recbole_llminit.utils.errors import UserError

CARD = Card(encoder="a test", command="recbole-llminit encode x")
TABLE = VectorTable.build(("a", "b", "ü"), np.arange(6, dtype=np.float16).reshape(3, 2), CARD)


@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, (3, 4), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_text_and_binary_load_to_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray
) -> None:
    folder = tmp_path_factory.mktemp("t")
    table = VectorTable.build(("a", "b", "c"), values, CARD)
    for file in (folder / "x.safetensors", folder / "x.itememb"):
        save(table, file)
        back = load(file)
        assert back.ids == table.ids
        np.testing.assert_array_equal(back.vectors.view(np.uint32), values.view(np.uint32))
        assert back.card == table.card


def test_half_precision_is_kept_in_binary_and_exact_in_text(tmp_path: Path) -> None:
    save(TABLE, tmp_path / "x.safetensors")
    assert load(tmp_path / "x.safetensors").vectors.dtype == np.float16
    save(TABLE, tmp_path / "x.itememb")
    np.testing.assert_array_equal(load(tmp_path / "x.itememb").vectors, TABLE.vectors.astype(np.float32))


def test_recbole_reads_the_text_form(tmp_path: Path) -> None:
    save(TABLE, tmp_path / "x.itememb")
    lines = (tmp_path / "x.itememb").read_text().splitlines()
    assert lines[0] == "iid:token\tllm_emb:float_seq"
    assert lines[1] == "a\t0 1"


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    save(TABLE, tmp_path / "x.safetensors")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.json", "x.safetensors"]


def test_a_file_that_is_no_card_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"rows": 3}')
    with pytest.raises(UserError, match="is not the card"):
        save(TABLE, tmp_path / "x.safetensors")
    assert (tmp_path / "x.json").read_text() == '{"rows": 3}'


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        (("a", "b"), np.zeros((3, 2)), "don't fit 2 ids"),
        (("a", "b"), np.zeros(2), "don't fit"),
        (("a", "a"), np.zeros((2, 2)), "'a' occurs more than once"),
        (("a", "b"), np.array([[0.0], [np.nan]]), "item 'b' holds NaN"),
        (("a", ""), np.zeros((2, 2)), "is empty"),
    ],
)
def test_bad_matrices(ids: tuple[str, ...], vectors: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        VectorTable.build(ids, vectors, CARD)


def test_damage_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    with pytest.raises(UserError, match="does not exist"):
        load(file)
    save(TABLE, file)
    card = json.loads(card_path(file).read_text())
    card_path(file).write_text(json.dumps({**card, "vectors_sha256": "0" * 64}))
    with pytest.raises(UserError, match="not what its card describes.*recbole-llminit encode x"):
        load(file)
    card_path(file).write_text("{}")
    with pytest.raises(UserError, match="not the card"):
        load(file)
    card_path(file).unlink()
    with pytest.raises(UserError, match="has no card"):
        load(file)
    file.write_bytes(b"half a file")
    with pytest.raises(UserError, match="not a vector table"):
        load(file)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shine": 1}, "unknown field 'shine'"),
        ({"dim": "768"}, "field 'dim' must be a whole number, not '768'"),
        ({"prompt": 3}, "field 'prompt' must be text, not '3'"),
        ({"own_limit": None}, "field 'own_limit' is missing or empty"),
        ({"coverage": {"title": "1"}}, "field 'coverage.title' must be a number, not '1'"),
    ],
)
def test_a_wrong_field_of_a_card_is_named_with_the_file(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    file = tmp_path / "x.safetensors"
    save(TABLE, file)
    card_path(file).write_text(json.dumps(json.loads(card_path(file).read_text()) | changes))
    with pytest.raises(UserError) as error:
        load(file)
    assert str(error.value).startswith(f"{card_path(file)} is not the card of a vector table: {words}")


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*/*.safetensors")), ids=lambda file: file.parent.name)
def test_the_shipped_cards_are_written_as_they_were_read(file: Path, tmp_path: Path) -> None:
    table = load(file)
    copy = tmp_path / file.name
    save(table, copy)
    np.testing.assert_array_equal(load(copy).vectors, table.vectors)
    written = json.loads(card_path(copy).read_text())
    assert written.pop("own_limit") is True  # a field that is newer than the shipped tables
    assert json.dumps(written, indent=2) + "\n" == card_path(file).read_text()


def test_a_repeated_id_among_many_is_found_at_once() -> None:
    ids = tuple(map(str, range(300_000)))
    with pytest.raises(UserError, match="item '299998' occurs more than once"):
        VectorTable.build((*ids, "299999", "299998"), np.zeros((300_002, 1), np.float32), CARD)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item_id:token\tx:float_seq\na\t1\n", "expected 'iid:token"),
        ("iid:token\tllm_emb:float_seq\na\t1 2\nb\t1\n", "line 3: 1 numbers, expected 2"),
        ("iid:token\tllm_emb:float_seq\na\t1 x\n", "line 2"),
        ("iid:token\tllm_emb:float_seq\n", "no vectors"),
    ],
)
def test_bad_text_forms(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.itememb").write_text(text)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "x.itememb")


def test_alignment_follows_tokens_not_rows() -> None:
    matrix, found = align(TABLE, ["[PAD]", "ü", "a"])
    np.testing.assert_array_equal(matrix, [[0, 0], [4, 5], [0, 1]])
    assert matrix.dtype == np.float32
    assert found == 2


def test_missing_vectors_follow_the_policy() -> None:
    tokens = ["[PAD]", "a", "z", "b"]
    with pytest.raises(UserError, match=r"1 of 3 items have no vector \(e.g. 'z'\)"):
        align(TABLE, tokens)
    np.testing.assert_array_equal(align(TABLE, tokens, "zero")[0][2], [0, 0])
    np.testing.assert_array_equal(align(TABLE, tokens, "mean")[0][2], [1, 2])  # of a and b, without ü
    with pytest.raises(UserError, match="llm_missing 'skip' must be one of error, mean, zero"):
        align(TABLE, tokens, "skip")


def test_a_table_of_other_items_is_named() -> None:
    with pytest.raises(UserError, match="none of the 2 items has a vector.*'u2'.*'a'"):
        align(TABLE, ["[PAD]", "u1", "u2"], "zero")
