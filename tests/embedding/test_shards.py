"""Test shards: every text gets its vector, after interruptions and with repeated texts or several parts."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_llminit.embedding import shards as module
from recbole_llminit.embedding.shards import Shards
from recbole_llminit.utils.errors import UserError

WIDTH = 8
TEXTS = [f"text {'x' * (i % 5)}{i}" for i in range(10)]  # four shards: three of three texts, one of one


def vector(text: str, width: int = WIDTH) -> np.ndarray:
    """Return a vector that no other text has."""
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)[:width].astype(np.float32)


class Fake:
    """An encoder that records the texts it gets, and may be interrupted at its n-th shard."""

    def __init__(self, stop_at: int | None = None, width: int = WIDTH) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.stop_at, self.width = stop_at, width

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        if len(self.asked) == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(tuple(texts))
        return np.stack([vector(text, self.width) for text in texts])


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TEXTS", 3)


def plan(folder: Path, texts: Sequence[str] = TEXTS, **facts: Any) -> Shards:
    return Shards.plan(texts, {"encoder": "fake", **facts}, folder, "table")


def at_once(folder: Path, texts: Sequence[str], dtype: str = "float32") -> np.ndarray:
    work = plan(folder, texts)
    work.encode(Fake(), quiet=True)
    return np.array(work.merge(texts, dtype))


@settings(max_examples=60)
@given(
    texts=st.lists(st.text(max_size=4), min_size=1, max_size=40),
    order=st.integers(1, 6).flatmap(lambda n: st.permutations(range(1, n + 1))),
    dtype=st.sampled_from(["float32", "float16"]),
)
def test_parts_in_any_order_give_what_one_run_gives(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], order: list[int], dtype: str
) -> None:
    folder = tmp_path_factory.mktemp("s")
    whole = at_once(folder / "whole", texts, dtype)
    for part in order:
        plan(folder / "parts", texts).encode(Fake(), (part, len(order)), quiet=True)
    merged = plan(folder / "parts", texts).merge(texts, dtype)
    assert merged.dtype == whole.dtype == np.dtype(dtype)
    assert merged.tobytes() == whole.tobytes()
    np.testing.assert_array_equal(merged, np.stack([vector(text) for text in texts]).astype(dtype))


@settings(max_examples=30)
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=40))
def test_identical_texts_are_encoded_once(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    fake = Fake()
    plan(tmp_path_factory.mktemp("s"), texts).encode(fake, quiet=True)
    assert sorted(text for shard in fake.asked for text in shard) == sorted(set(texts))


def test_the_longest_texts_come_first(tmp_path: Path) -> None:
    """A batch that does not fit into memory should fail at the start, not after hours."""
    fake = Fake()
    plan(tmp_path).encode(fake, quiet=True)
    lengths = [len(text) for shard in fake.asked for text in shard]
    assert lengths == sorted(lengths, reverse=True)


def test_parts_share_the_work(tmp_path: Path) -> None:
    work, first, second = plan(tmp_path), Fake(), Fake()
    work.encode(first, (1, 2), quiet=True)
    work.encode(second, (2, 2), quiet=True)
    assert [len(first.asked), len(second.asked)] == [2, 2]
    assert not set(first.asked) & set(second.asked)


@pytest.mark.parametrize("finished", range(5))
def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, finished: int) -> None:
    stopped, resumed = Fake(stop_at=finished), Fake()
    try:
        plan(tmp_path).encode(stopped, quiet=True)
    except KeyboardInterrupt:
        assert finished < 4
    assert plan(tmp_path).missing() == list(range(finished, 4))
    plan(tmp_path).encode(resumed, quiet=True)
    assert stopped.asked + resumed.asked == [plan(tmp_path).shard(number) for number in range(4)]
    expected = at_once(tmp_path / "whole", TEXTS)
    assert plan(tmp_path).merge(TEXTS, "float32").tobytes() == expected.tobytes()


def test_interrupted_at_every_shard(tmp_path: Path) -> None:
    asked = []
    for _ in range(4):
        fake = Fake(stop_at=1)
        with contextlib.suppress(KeyboardInterrupt):
            plan(tmp_path).encode(fake, quiet=True)
        asked += fake.asked
    assert asked == [plan(tmp_path).shard(number) for number in range(4)]


def test_half_a_shard_is_not_taken_for_one(tmp_path: Path) -> None:
    """A process that is killed while it writes a shard leaves a temporary file."""
    work = plan(tmp_path)
    work.encode(Fake(), (1, 2), quiet=True)
    (work.folder / ".000001.npy.77.tmp").write_bytes(b"\x93NUMPY\x01\x00")
    assert work.missing() == [1, 3]
    work.encode(Fake(), quiet=True)
    np.testing.assert_array_equal(work.merge(TEXTS, "float32"), np.stack([vector(text) for text in TEXTS]))


def test_a_merge_that_was_stopped_is_made_again(tmp_path: Path) -> None:
    work = plan(tmp_path)
    work.encode(Fake(), quiet=True)
    (work.folder / "whole.npy").write_bytes(b"half")
    np.testing.assert_array_equal(work.merge(TEXTS, "float32"), np.stack([vector(text) for text in TEXTS]))


def test_nothing_stays_after_remove(tmp_path: Path) -> None:
    work = plan(tmp_path)
    work.encode(Fake(), quiet=True)
    work.merge(TEXTS, "float32")
    work.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("done", [0, 3])
def test_missing_shards_are_counted(tmp_path: Path, done: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        plan(tmp_path).encode(Fake(stop_at=done), quiet=True)
    with pytest.raises(UserError, match=rf"{4 - done} of 4 shards have no vectors .*first is {done + 1}\)"):
        plan(tmp_path).merge(TEXTS, "float32")


@pytest.mark.parametrize("rows", [0, 2, 4])
def test_a_wrong_number_of_vectors_is_refused(tmp_path: Path, rows: int) -> None:
    with pytest.raises(UserError, match=rf"gave \({rows}, 8\) for 3 texts"):
        plan(tmp_path).encode(lambda texts: np.ones((rows, WIDTH), np.float32), quiet=True)
    assert plan(tmp_path).missing() == [0, 1, 2, 3]


def test_one_long_vector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gave \(24,\) for 3 texts"):
        plan(tmp_path).encode(lambda texts: np.ones(24, np.float32), quiet=True)


def test_another_dimension_than_before_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        plan(tmp_path).encode(Fake(stop_at=2), quiet=True)
    with pytest.raises(UserError, match=r"gave \(3, 5\) for 3 texts of dimension 8"):
        plan(tmp_path).encode(Fake(width=5), quiet=True)
    assert plan(tmp_path).missing() == [2, 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_refused_with_its_text(tmp_path: Path, bad: float) -> None:
    work = plan(tmp_path)
    text = work.shard(1)[2]

    def encode(texts: Sequence[str]) -> np.ndarray:
        vectors = Fake()(texts)
        vectors[[each == text for each in texts], 3] = bad
        return vectors

    with pytest.raises(UserError, match=f"NaN or infinity for the text '{text}'"):
        work.encode(encode, quiet=True)
    assert work.missing() == [1, 2, 3]


def test_other_texts_or_another_encoder_start_other_shards(tmp_path: Path) -> None:
    plans = [
        plan(tmp_path),
        plan(tmp_path, [*TEXTS[:-1], "another"]),
        plan(tmp_path, TEXTS[:-1]),
        plan(tmp_path, encoder="other"),
        plan(tmp_path, prompt="query: "),
        plan(tmp_path, max_length=16),
        plan(tmp_path, revision="abc"),
        plan(tmp_path, precision="bf16"),
    ]
    plans[0].encode(Fake(), quiet=True)
    assert len({each.folder for each in plans}) == len(plans)
    assert all(len(each.missing()) == len(each) for each in plans[1:])


def test_order_and_repeats_do_not_start_other_shards(tmp_path: Path) -> None:
    assert plan(tmp_path, [*reversed(TEXTS), TEXTS[3]]) == plan(tmp_path)


@pytest.mark.parametrize("count", [1, 3, 4, 1000, 3001, 12_345])
def test_shards_cover_all_texts_and_stay_few(tmp_path: Path, count: int) -> None:
    work = plan(tmp_path, [str(i) for i in range(count)])
    assert tuple(text for number in range(len(work)) for text in work.shard(number)) == work.texts
    assert all(work.shard(number) for number in range(len(work)))
    assert len(work) <= 1000
