"""Keep a language model's answers in a file, and replay them instead of asking the model again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any, BinaryIO

from recbole_llminit.llm.protocol import LanguageModel
from recbole_llminit.utils.errors import UserError

_Row = dict[str, Any]


class Recorded:
    """A language model that records its answers in a file and replays those that the file holds.

    The file holds one JSON object per line and answer: ``hash`` (of the next three fields), ``facts``,
    ``max_tokens``, ``prompt``, ``answer``. Each line is appended as soon as its answer arrives, so that a
    killed job loses no more than the answer in progress. Only one process at a time may write to the file.

    Args:
        model: The model to ask for missing answers; None replays the file alone, which must then hold the
            answers of exactly one model.
        file: Where the answers are kept; it is created with the first new answer.

    Raises:
        UserError: If a line of the file is damaged; without a model, if the file holds no answers, or
            those of several models.
    """

    def __init__(self, model: LanguageModel | None, file: Path) -> None:
        rows, self._end = _read(file)
        self._answers: dict[str, str] = {row["hash"]: row["answer"] for row in rows}
        self._model, self._file = model, file
        self._out: BinaryIO | None = None
        self.facts: dict[str, Any] = model.facts if model else _only_facts(rows, file)

    def generate(self, prompts: Sequence[str], max_tokens: int) -> list[str]:
        """Return the whole answer to each prompt, in their order; see `LanguageModel`.

        Raises:
            UserError: If an answer is missing and there is no model to ask, or the model can't answer.
        """
        hashes = [_hash(self.facts, max_tokens, prompt) for prompt in prompts]
        for wanted, prompt in zip(hashes, prompts, strict=True):
            if wanted not in self._answers:
                row = _row(self.facts, max_tokens, prompt, self._ask(prompt, max_tokens))
                self._append(row)
                self._answers[wanted] = row["answer"]
        return [self._answers[wanted] for wanted in hashes]

    def close(self) -> None:
        """Close the file and the model."""
        if self._out:
            self._out.close()
        if self._model:
            self._model.close()

    def _ask(self, prompt: str, max_tokens: int) -> str:
        if self._model is None:
            raise UserError(
                f"{self._file} has no answer to {prompt[:60]!r} with {max_tokens} tokens: "
                f"run the same command with the language model '{self.facts.get('name')}', which adds it"
            )
        try:
            return self._model.generate([prompt], max_tokens)[0]
        except UserError as error:
            kept = f"{len(self._answers)} answers are kept in {self._file}: run the command again to go on"
            raise UserError(f"{error}; {kept}") from None

    def _append(self, row: _Row) -> None:
        if self._out is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._out = self._file.open("ab")
            self._out.truncate(self._end)  # remove a last line that was cut off
        self._out.write(json.dumps(row).encode() + b"\n")
        self._out.flush()


def _read(file: Path) -> tuple[list[_Row], int]:
    """Return the answers of a file, and the size in bytes of its complete lines."""
    if not file.exists():
        return [], 0
    data = file.read_bytes()
    *lines, rest = data.split(b"\n")
    if rest:
        getLogger().warning(f"{file}: the last line was cut off and is dropped; its answer is missing")
    return [_checked(line, file, number) for number, line in enumerate(lines, 1)], len(data) - len(rest)


def _checked(line: bytes, file: Path, number: int) -> _Row:
    """Return the content of a line; raise `UserError` if `_row` would not have made it."""
    try:
        row = json.loads(line)
        whole = row == _row(row["facts"], row["max_tokens"], row["prompt"], row["answer"])
        whole = whole and isinstance(row["answer"], str) and isinstance(row["facts"], dict)
    except (ValueError, TypeError, LookupError):
        whole = False
    if not whole:
        raise UserError(
            f"{file}, line {number}: not an answer as it was recorded; remove the line to have it asked again"
        )
    checked: _Row = row
    return checked


def _row(facts: _Row, max_tokens: int, prompt: str, answer: str) -> _Row:
    found_by = _hash(facts, max_tokens, prompt)
    return {"hash": found_by, "facts": facts, "max_tokens": max_tokens, "prompt": prompt, "answer": answer}


def _hash(facts: _Row, max_tokens: int, prompt: str) -> str:
    """Return the hash under which an answer is stored."""
    return hashlib.sha256(json.dumps([facts, max_tokens, prompt], sort_keys=True).encode()).hexdigest()


def _only_facts(rows: Iterable[_Row], file: Path) -> dict[str, Any]:
    """Return the facts of the model that gave these answers; raise `UserError` unless it is exactly one."""
    models = {json.dumps(row["facts"], sort_keys=True): row["facts"] for row in rows}
    if len(models) != 1:
        what = f"answers of {len(models)} language models" if models else "no recorded answers"
        raise UserError(
            f"{file} holds {what}, not those of one: run the same command with the language model named"
        )
    (facts,) = models.values()
    return dict(facts)
