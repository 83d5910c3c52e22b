"""Test the import of a matrix from three formats; wrong input gives a one-line error and changes no file.

Further tests are of the table's file: it is plain safetensors, is memory-mapped, and damage is found.
"""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from safetensors.numpy import load_file, save_file

from recbole_llminit import cli
from recbole_llminit.embedding.table import Card, VectorTable, load, save
from recbole_llminit.utils.errors import UserError

IDS = ("a", "b", "ü")
VECTORS = np.array([[1.5, -2], [3, 4], [0, 0.25]], dtype=np.float32)
ITEM = "item_id:token\ttitle:token_seq\na\tpen\nb\tink\nü\tpaper\nnew\tbook\n"
TABLE = Path("data/own/mine.safetensors")


@pytest.fixture(autouse=True)
def dataset(clean_place: None) -> None:
    TABLE.parent.mkdir(parents=True)
    TABLE.with_name("own.item").write_text(ITEM)
    np.save("v.npy", VECTORS)
    Path("ids.txt").write_text("\n".join(IDS) + "\n")


def encode(*argv: str) -> int:
    return cli.main(["encode", "own", "--data-path=data", "--name=mine", "--encoder=by hand", *argv])


def write(file: str, **columns: Any) -> str:
    parquet.write_table(pa.table(columns), file)
    return f"--from={file}"


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run, expect exit code 2, a one-line error and unchanged files of the dataset, and return the line."""
    there = VectorTable.build(("a", "b"), np.eye(2, dtype=np.float32), Card(encoder="before"))
    save(there, TABLE)
    before = {file.name: file.read_bytes() for file in TABLE.parent.iterdir()}
    capsys.readouterr()
    assert encode(*argv) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert {file.name: file.read_bytes() for file in TABLE.parent.iterdir()} == before
    return lines[0].removeprefix("error: ")


def assert_ours(dtype: str = "float32") -> None:
    table = load(TABLE)
    assert table.ids == IDS
    assert table.vectors.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(table.vectors, VECTORS)


@pytest.mark.parametrize(
    ("kind", "kept"),
    [("<f4", "float32"), ("<f2", "float16"), ("<f8", "float32"), (">f4", "float32"), (">f2", "float16")],
)
def test_npy_and_ids(kind: str, kept: str) -> None:
    for order in (np.ascontiguousarray, np.asfortranarray):
        np.save("v.npy", order(VECTORS.astype(kind)))
        assert encode("--from=v.npy", "--ids=ids.txt") == 0
        assert_ours(kept)


def test_line_ends_of_another_system_do_not_become_part_of_ids() -> None:
    Path("ids.txt").write_bytes("\r\n".join(IDS).encode() + b"\r\n")
    assert encode("--from=v.npy", "--ids=ids.txt") == 0
    assert_ours()


@pytest.mark.parametrize(
    "column",
    [
        pa.array(VECTORS.tolist()),
        pa.array(VECTORS.tolist(), pa.list_(pa.float32())),
        pa.array(VECTORS.tolist(), pa.large_list(pa.float32())),
        pa.array(VECTORS.tolist(), pa.list_(pa.float32(), 2)),
        pa.chunked_array([pa.array(VECTORS[:1].tolist()), pa.array(VECTORS[1:].tolist())]),
    ],
    ids=["list", "list of float32", "large list", "list of fixed size", "chunks"],
)
def test_parquet_with_any_kind_of_list(column: Any) -> None:
    assert encode(write("v.parquet", item_id=IDS, vector=column)) == 0
    assert_ours()


def test_parquet_in_half_precision_stays_half() -> None:
    half = pa.array([[np.float16(x) for x in row] for row in VECTORS], pa.list_(pa.float16()))
    assert encode(write("v.parquet", item_id=IDS, vector=half)) == 0
    assert_ours("float16")


def test_parquet_ids_are_item_id_or_the_only_other_column() -> None:
    rows = VECTORS.tolist()
    assert encode(write("v.parquet", asin=IDS, vector=rows)) == 0
    assert_ours()
    assert encode(write("v.parquet", title=["x", "y", "z"], item_id=IDS, vector=rows)) == 0
    assert_ours()
    assert encode(write("v.parquet", item_id=pa.array(IDS).dictionary_encode(), vector=rows)) == 0
    assert_ours()


def test_parquet_ids_may_be_numbers() -> None:
    TABLE.with_name("own.item").write_text(ITEM.replace("a\t", "7\t"))
    assert encode(write("v.parquet", item_id=[7, 8, 9], vector=VECTORS.tolist())) == 0
    assert load(TABLE).ids == ("7", "8", "9")


def test_our_own_table_comes_back_the_same() -> None:
    made = VectorTable.build(IDS, VECTORS.astype(np.float16), Card(encoder="first"))
    save(made, Path("first.safetensors"))
    assert encode("--from=first.safetensors") == 0
    assert_ours("float16")
    assert load(TABLE).card.vectors_sha256 == made.card.vectors_sha256
    assert load(TABLE).card.encoder == "by hand"


def test_safetensors_of_another_tool() -> None:
    save_file({"embedding.weight": VECTORS, "step": np.array([3])}, "v.safetensors")
    assert encode("--from=v.safetensors", "--ids=ids.txt") == 0
    assert_ours()


def test_safetensors_in_bfloat16() -> None:
    """Many models are stored in this type, which NumPy lacks."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    save_torch({"v": torch.tensor(VECTORS, dtype=torch.bfloat16)}, "v.safetensors")
    assert encode("--from=v.safetensors", "--ids=ids.txt") == 0
    assert_ours()


def test_the_card_says_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("--from=v.npy", "--ids=ids.txt") == 0
    assert "3 items, 2 dimensions, float32" in capsys.readouterr().out
    card = json.loads(TABLE.with_suffix(".json").read_text())
    assert (card["encoder"], card["items"], card["dim"], card["dtype"]) == ("by hand", 3, 2, "float32")
    assert (card["template"], card["texts_sha256"], card["coverage"]) == (None, None, {})
    assert "--from=v.npy" in card["command"]
    assert encode("--from=v.npy", "--ids=ids.txt", "--template={title}") == 0
    card = load(TABLE).card
    assert card.template == "{title}"
    assert len(card.texts_sha256) == 64
    assert card.coverage == {"title": 1.0}


def test_the_file_need_not_have_been_made_for_this_dataset_alone() -> None:
    """The table keeps items that RecBole does not know; `llm_missing` handles items without a vector."""
    np.save("v.npy", np.eye(4, dtype=np.float32))
    Path("ids.txt").write_text("a\nb\nelsewhere\nthere\n")
    assert encode("--from=v.npy", "--ids=ids.txt") == 0
    assert load(TABLE).ids == ("a", "b", "elsewhere", "there")


def changed(row: int, value: float) -> np.ndarray:
    vectors = VECTORS.copy()
    vectors[row, 1] = value
    return vectors


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.arange(6).reshape(3, 2), "holds int64; expected floating point"),
        (np.ones((3, 2), bool), "holds bool; expected floating point"),
        (np.ones((3, 2), np.complex64), "holds complex64; expected floating point"),
        (changed(1, np.nan), "vector of item 'b' holds NaN or infinity"),
        (changed(2, np.inf), "vector of item 'ü' holds NaN or infinity"),
        (np.ones((2, 2)), r"shape \(2, 2\) don't fit 3 ids"),
        (np.ones((4, 2)), r"shape \(4, 2\) don't fit 3 ids"),
        (np.ones(3), r"shape \(3,\) don't fit"),
        (np.ones((3, 2, 1)), r"shape \(3, 2, 1\) don't fit"),
        (np.ones((0, 2)), r"shape \(0, 2\) don't fit"),
        (np.array([["x", "y"]] * 3), "expected floating point"),
        (np.array([[{}, {}]] * 3), "expected a .npy matrix"),
    ],
)
def test_bad_npy(vectors: np.ndarray, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("v.npy", vectors)
    assert re.search(message, refused(capsys, "--from=v.npy", "--ids=ids.txt"))


def test_a_matrix_without_columns_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("v.npy", np.ones((3, 0)))
    assert "shape (3, 0)" in refused(capsys, "--from=v.npy", "--ids=ids.txt")


@pytest.mark.filterwarnings("error")  # a warning by NumPy would be a second line
def test_numbers_too_large_for_single_precision_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("v.npy", changed(1, 1).astype(np.float64) * 1e300)
    assert "item 'a' holds NaN or infinity" in refused(capsys, "--from=v.npy", "--ids=ids.txt")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (b"a\nb\na\n", "item 'a' occurs more than once"),
        (b"a\n\nb\n", "id '' is empty"),
        (b"a\nb\tc\nd\n", r"'b\\tc' is empty or holds a tab"),
        (b"a\nb\n", "don't fit 2 ids"),
        (b"", "don't fit 1 ids"),
        (b"a\n\xff\nc\n", "ids.txt is not UTF-8 text, one item token a line"),
        (b"x1\nx2\nx3\n", "none of the 4 items of .*own.item has a vector: .*'a', the matrix's like 'x1'"),
    ],
)
def test_bad_ids(ids: bytes, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("ids.txt").write_bytes(ids)
    assert re.search(message, refused(capsys, "--from=v.npy", "--ids=ids.txt"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--from=v.npy"], "--from and --ids go together: v.npy does not say which item a row is"),
        (["--ids=ids.txt"], "--from and --ids go together"),
        (["--from=gone.npy", "--ids=ids.txt"], "gone.npy does not exist"),
        (["--from=v.npy", "--ids=gone.txt"], "gone.txt does not exist"),
        (["--from=data", "--ids=ids.txt"], "data does not exist"),
        (["--from=ids.txt", "--ids=ids.txt"], "ids.txt: expected a .npy matrix, .parquet or .safetensors"),
        (["--from=v.npy", "--ids=ids.txt", "--template={titel}"], "no column 'titel'.*Did you mean 'title'"),
    ],
)
def test_wrong_flags(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(message, refused(capsys, *argv))


def test_text_by_the_name_of_npy(capsys: pytest.CaptureFixture[str]) -> None:
    np.savetxt("v.npy", VECTORS)
    assert "v.npy: expected a .npy matrix" in refused(capsys, "--from=v.npy", "--ids=ids.txt")


def test_several_matrices(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("v.npz", VECTORS, VECTORS)
    assert "v.npz holds several arrays" in refused(capsys, "--from=v.npz", "--ids=ids.txt")
    save_file({"v": VECTORS, "w": VECTORS}, "v.safetensors")
    line = refused(capsys, "--from=v.safetensors", "--ids=ids.txt")
    assert "v.safetensors holds 2 matrices (v, w); expected one" in line
    save_file({"v": VECTORS[0]}, "v.safetensors")
    assert "holds 0 matrices (v)" in refused(capsys, "--from=v.safetensors", "--ids=ids.txt")
    flag = write("v.parquet", item_id=IDS, v=VECTORS.tolist(), w=VECTORS.tolist())
    assert "columns item_id, v, w; expected item_id and one column of lists" in refused(capsys, flag)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": IDS, "v": [[1.0, 2], [3.0], [4.0, 5]]}, "'v' are missing or of different dimensions"),
        ({"item_id": IDS, "v": [[1.0, 2], None, [4.0, 5]]}, "'v' are missing or of different dimensions"),
        ({"item_id": IDS, "v": [[1.0, 2], [None, 2], [4.0, 5]]}, "item 'b' holds NaN"),
        ({"item_id": IDS, "v": [[1, 2], [3, 4], [5, 6]]}, "holds int64; expected floating point"),
        ({"item_id": IDS, "v": [["1"], ["2"], ["3"]]}, "expected floating point"),
        ({"item_id": IDS, "v": [1.0, 2.0, 3.0]}, "expected item_id and one column of lists of numbers"),
        ({"v": VECTORS.tolist()}, "has the columns v; expected item_id"),
        ({"x": IDS, "y": IDS, "v": VECTORS.tolist()}, "has the columns x, y, v; expected item_id"),
        ({"item_id": ["a", None, "b"], "v": VECTORS.tolist()}, "id None is empty"),
        ({"item_id": ["a", "b", "a"], "v": VECTORS.tolist()}, "item 'a' occurs more than once"),
        ({"item_id": [b"a", b"\xff", b"c"], "v": VECTORS.tolist()}, "item_id"),
        ({"item_id": [{"x": 1}] * 3, "v": VECTORS.tolist()}, "item_id"),
    ],
)
def test_bad_parquet(columns: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(message, refused(capsys, write("v.parquet", **columns)))


@pytest.mark.parametrize("ids", [np.array([200, 201, 202]), np.array([[1], [2], [3]])])
def test_ids_in_safetensors_that_are_not_ours(ids: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"v": VECTORS, "ids": ids}, "v.safetensors")
    refused(capsys, "--from=v.safetensors")


def test_a_list_of_ids_wins_over_numbers_called_ids() -> None:
    save_file({"v": VECTORS, "ids": np.array([200, 201, 202])}, "v.safetensors")
    assert encode("--from=v.safetensors", "--ids=ids.txt") == 0
    assert_ours()


def matrix_file(suffix: str) -> Path:
    """Write a matrix with ids, large enough to be truncated at several places, and return its file."""
    ids, vectors = [str(i) for i in range(3000)], np.random.default_rng(0).normal(size=(3000, 4))
    file = Path(f"large{suffix}")
    if suffix == ".npy":
        np.save(file, vectors)
    elif suffix == ".npz":
        np.savez(file, vectors)
    elif suffix == ".safetensors":
        save_file({"v": vectors}, file)
    else:
        parquet.write_table(pa.table({"item_id": ids, "v": list(vectors)}), file, row_group_size=500)
    Path("ids.txt").write_text("\n".join(ids))
    return file


@pytest.mark.parametrize("share", [0.0, 0.00005, 0.0005, 0.5, 0.9999])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".parquet"])
def test_a_truncated_file(suffix: str, share: float, capsys: pytest.CaptureFixture[str]) -> None:
    file = matrix_file(suffix)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    assert str(file) in refused(capsys, f"--from={file}", "--ids=ids.txt")


@pytest.mark.parametrize("at", [10, 1000, -2000, -100])
def test_a_damaged_parquet_file(at: int, capsys: pytest.CaptureFixture[str]) -> None:
    file = matrix_file(".parquet")
    damaged = bytearray(file.read_bytes())
    at %= len(damaged)
    damaged[at : at + 60] = b"\xff" * 60
    file.write_bytes(damaged)
    assert str(file) in refused(capsys, f"--from={file}")


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_the_file_we_write_is_plain_safetensors(kind: str) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 5)).astype(kind)
    save(VectorTable.build(IDS, vectors, Card(encoder="a test")), TABLE)
    tensors = load_file(TABLE)
    assert set(tensors) == {"vectors", "ids"}
    assert tensors["vectors"].dtype == np.dtype(kind)
    assert tensors["vectors"].tobytes() == vectors.tobytes()
    assert tensors["ids"].tobytes().decode().split("\n") == list(IDS)


def mapped(array: np.ndarray) -> bool:
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return isinstance(array, np.memmap)


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_a_loaded_table_is_mapped_into_memory(kind: str) -> None:
    save(VectorTable.build(IDS, VECTORS.astype(kind), Card(encoder="a test")), TABLE)
    vectors = load(TABLE).vectors
    assert mapped(vectors)
    assert not vectors.flags.writeable


def test_a_truncated_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    save(VectorTable.build(IDS, VECTORS, Card(encoder="a test")), TABLE)
    whole = TABLE.read_bytes()
    for size in range(len(whole)):
        TABLE.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"^[^\n]*mine.safetensors[^\n]*$"):
            load(TABLE)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_table_is_refused_or_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("t") / "x.safetensors"
    table = VectorTable.build(IDS, VECTORS, Card(encoder="a test"))
    save(table, file)
    damaged = bytearray(file.read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(damaged)
    try:
        back = load(file)
    except UserError:
        return
    assert back.ids == table.ids
    np.testing.assert_array_equal(back.vectors, VECTORS)


def test_a_big_table_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    shape = (200_000, 64)
    ids = tuple(map(str, range(shape[0])))
    vectors = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.float32, shape)
    vectors[:] = np.arange(64)
    vectors[:, 0] = np.arange(shape[0])
    tracemalloc.start()
    try:
        save(VectorTable.build(ids, vectors, Card(encoder="a test")), TABLE)
        assert tracemalloc.get_traced_memory()[1] < vectors.nbytes / 2
        tracemalloc.reset_peak()
        back = load(TABLE)
        assert tracemalloc.get_traced_memory()[1] < vectors.nbytes / 2
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(back.vectors, vectors)
