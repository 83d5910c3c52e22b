"""Recorded answers are replayed unchanged, asked for only once, and kept apart for each model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from recbole_llminit.llm import Recorded
from recbole_llminit.utils.errors import UserError
from tests.llm.server import words
from tests.llm.stub import Stub

PROMPTS = ["rank a", "rank b", "rank c"]
ANSWERS = [words(prompt, 8) for prompt in PROMPTS]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write three answers as a finished job does, and return their file."""
    file = tmp_path / "new" / "answers.jsonl"
    model = Recorded(Stub(), file)
    assert model.generate(PROMPTS, 8) == ANSWERS
    model.close()
    return file


def refused(model: Stub | None, file: Path, prompts: list[str] = PROMPTS, most: int = 8) -> str:
    with pytest.raises(UserError) as error:
        Recorded(model, file).generate(prompts, most)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_there_is_not_asked_again(file: Path) -> None:
    before = file.read_bytes()
    stub = Stub()
    model = Recorded(stub, file)
    assert model.facts == stub.facts
    assert model.generate(PROMPTS[::-1], 8) == ANSWERS[::-1]
    model.close()
    assert stub.asked == []
    assert stub.closed
    assert file.read_bytes() == before


def test_a_line_says_what_was_asked_of_whom(file: Path) -> None:
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["prompt"] for row in rows] == PROMPTS
    assert [row["answer"] for row in rows] == ANSWERS
    assert {row["max_tokens"] for row in rows} == {8}
    assert all(row["facts"] == Stub().facts for row in rows)
    assert len({row["hash"] for row in rows}) == 3


def test_identical_prompts_are_asked_once(tmp_path: Path) -> None:
    stub = Stub()
    model = Recorded(stub, tmp_path / "answers.jsonl")
    assert model.generate(["rank a", "rank b", "rank a"], 8) == [ANSWERS[0], ANSWERS[1], ANSWERS[0]]
    assert stub.asked == ["rank a", "rank b"]


def test_no_file_before_the_first_answer(tmp_path: Path) -> None:
    model = Recorded(Stub(), tmp_path / "answers.jsonl")
    assert model.generate([], 8) == []
    model.close()
    assert not (tmp_path / "answers.jsonl").exists()


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"precision": "bfloat16"}, {"base_url": "http://host/v1"}]
)
def test_another_model_is_asked(file: Path, change: dict[str, Any]) -> None:
    stub = Stub(facts={**Stub().facts, **change})
    Recorded(stub, file).generate(PROMPTS, 8)
    assert stub.asked == PROMPTS
    again = Stub()
    Recorded(again, file).generate(PROMPTS, 8)
    assert again.asked == []  # the file keeps the answers of both models


def test_another_length_is_asked(file: Path) -> None:
    stub = Stub()
    assert Recorded(stub, file).generate(PROMPTS[:1], 4) == [words(PROMPTS[0], 4)]
    assert stub.asked == PROMPTS[:1]


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_job_that_is_killed_goes_on(file: Path, tmp_path: Path, answered: int) -> None:
    """Earlier answers are reused, and the file becomes that of a job that was not killed."""
    killed = tmp_path / "killed.jsonl"
    with pytest.raises(KeyboardInterrupt):
        Recorded(Stub(fails_after=answered), killed).generate(PROMPTS, 8)  # a killed job does not close it
    assert killed.exists() == (answered > 0)
    stub = Stub()
    assert Recorded(stub, killed).generate(PROMPTS, 8) == ANSWERS
    assert stub.asked == PROMPTS[answered:]
    assert killed.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("missing", [1, 2, 30])
def test_a_line_that_was_cut_off_is_dropped(
    file: Path, missing: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:-missing])
    stub = Stub()
    model = Recorded(stub, file)
    assert f"{file}: the last line was cut off and is dropped" in caplog.text
    assert model.generate(PROMPTS, 8) == ANSWERS
    assert stub.asked == PROMPTS[2:]
    assert file.read_bytes() == whole
    caplog.clear()
    Recorded(stub, file)
    assert caplog.text == ""


@pytest.mark.parametrize("cut", range(0, 1200, 37))
def test_wherever_it_was_cut_the_answers_are_the_same(file: Path, cut: int) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:cut])
    assert Recorded(Stub(), file).generate(PROMPTS, 8) == ANSWERS
    assert file.read_bytes() == whole


def damaged(line: bytes) -> list[bytes]:
    row = json.loads(line)
    others: list[Any] = [
        {**row, "prompt": "rank d"},
        {**row, "facts": {"name": "other"}},
        {**row, "max_tokens": 9},
        {**row, "hash": "0"},
        {**row, "answer": None},
        {**row, "answer": ["a"]},
        {**row, "more": 1},
        {name: value for name, value in row.items() if name != "answer"},
        [row],
        None,
        "abc",
    ]
    return [line[:20], b"", b"\x00" * 40, b"\xff\xfe", *(json.dumps(other).encode() for other in others)]


@pytest.mark.parametrize("kind", range(15))
@pytest.mark.parametrize("place", [0, 1, 2])
def test_other_damage_is_told_with_its_line(file: Path, kind: int, place: int) -> None:
    lines = file.read_bytes().splitlines()
    lines[place] = damaged(lines[place])[kind]
    file.write_bytes(b"\n".join(lines) + b"\n")
    before = file.read_bytes()
    assert refused(Stub(), file).startswith(f"{file}, line {place + 1}: not an answer as it was recorded")
    assert file.read_bytes() == before


def test_files_of_two_machines_put_together(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    Recorded(Stub(), other).generate(["rank c", "rank d"], 8)
    file.write_bytes(file.read_bytes() + other.read_bytes())
    stub = Stub()
    assert Recorded(stub, file).generate([*PROMPTS, "rank d"], 8) == [*ANSWERS, words("rank d", 8)]
    assert stub.asked == []


def test_replay_without_a_model(file: Path) -> None:
    before = file.read_bytes()
    model = Recorded(None, file)
    assert model.facts == Stub().facts
    assert model.generate(PROMPTS, 8) == ANSWERS
    model.close()
    assert file.read_bytes() == before


def test_without_a_model_the_file_is_left_as_it_is(file: Path) -> None:
    cut = file.read_bytes()[:-5]
    file.write_bytes(cut)
    assert Recorded(None, file).generate(PROMPTS[:2], 8) == ANSWERS[:2]
    assert "has no answer to 'rank c'" in refused(None, file)
    assert file.read_bytes() == cut


@pytest.mark.parametrize(("prompt", "most"), [("rank\nd" + "x" * 500, 8), (PROMPTS[0], 9)])
def test_a_missing_answer_says_what_to_run(file: Path, prompt: str, most: int) -> None:
    line = refused(None, file, [prompt], most)
    assert line.startswith(f"{file} has no answer to {prompt[:60]!r} with {most} tokens: ")
    assert line.endswith("run the same command with the language model 'stub', which adds it")


@pytest.mark.parametrize("content", [None, b"", b'{"hash": "ab'])
def test_replay_of_nothing(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "answers.jsonl"
    if content is not None:
        file.write_bytes(content)
    assert f"{file} holds no recorded answers" in refused(None, file)


def test_replay_of_several_models(file: Path) -> None:
    Recorded(Stub(facts={"name": "other", "kind": "gguf"}), file).generate(PROMPTS, 8)
    assert f"{file} holds answers of 2 language models" in refused(None, file)


def test_what_the_model_says_is_kept_in_one_line(file: Path) -> None:
    line = refused(Stub(fails_after=0, failure=UserError("too long")), file, ["rank d"])
    assert line == f"too long; 3 answers are kept in {file}: run the command again to go on"


@hypothesis.settings(max_examples=50, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(prompts=st.lists(st.text(st.characters())))
def test_any_text_comes_back_as_it_was(prompts: list[str], tmp_path: Path) -> None:
    class Echo(Stub):
        def generate(self, prompts: Any, max_tokens: int) -> list[str]:
            return list(prompts)

    file = tmp_path / "any.jsonl"
    assert Recorded(Echo(), file).generate(prompts, 8) == prompts
    if prompts:
        assert Recorded(None, file).generate(prompts, 8) == prompts
