"""What every source takes and gives, and the reading of JSON lines they share."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
from tqdm import tqdm

from recbole_llminit.prepare.engine import Engine
from recbole_llminit.prepare.files import Parser, first_record, parse_json, records
from recbole_llminit.prepare.recipe import Recipe
from recbole_llminit.utils.errors import UserError, nearest

if TYPE_CHECKING:
    from ibis.expr.types import Column, Table

TEXT = "token_seq"  # RecBole's type of a text column


@dataclass(frozen=True)
class Inputs:
    """What the user or a recipe gave; files are local by now.

    Attributes:
        recipe: Names columns and units, and what is to be generated.
        files: By role: ``reviews``, a file of interactions; ``metadata``, one of items; ``path``, a folder.
        skip_bad_lines: How many unreadable lines may be left out of each file.
        quiet: Show no progress bars.
    """

    recipe: Recipe
    files: Mapping[str, Path]
    skip_bad_lines: int
    quiet: bool


@dataclass(frozen=True)
class Raw:
    """Raw tables under the project's names, as Ibis expressions.

    Attributes:
        interactions: ``user_id``, ``item_id`` (strings) and, where known, ``rating``, ``timestamp``
            (float64; seconds) and ``review`` (string).
        items: ``item_id`` and text columns (strings; a list is JSON text), or None.
        types: RecBole's type of each text column, in the order they are written.
    """

    interactions: Table
    items: Table | None
    types: Mapping[str, str]


def number(column: Column) -> Column:
    """Return a column's numbers as float64; null where there is none, or "not a number"."""
    value = column.try_cast("float64")
    return value.isnan().ifelse(ibis.null("float64"), value)


def parse_literal(line: str) -> dict[str, Any]:
    """Parse a line that holds a JSON object or a Python dict of plain values; nothing is executed.

    Raises:
        ValueError: If it holds anything else.
    """
    try:
        return parse_json(line)
    except ValueError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "\/" is common in crawled text
            value = ast.literal_eval(line.strip())
    if not isinstance(value, dict):
        raise ValueError(f"expected a mapping, found a {type(value).__name__}")
    return value


def json_table(
    engine: Engine,
    file: Path,
    columns: Sequence[str],
    required: Iterable[str],
    inputs: Inputs,
    parse: Parser = parse_json,
) -> Table:
    """Read columns of a file of JSON lines, by the engine alone if every line is JSON.

    Python literals, and files with lines to leave out, are translated first, line by line.

    Raises:
        UserError: If the first line lacks a required column, or a line is unreadable.
    """
    first = first_record(file, parse)
    if missing := [column for column in required if column not in first]:
        raise UserError(
            f"{file} has no '{missing[0]}': its first line has {', '.join(map(str, first)) or 'nothing'}."
            + nearest(missing[0], map(str, first))
        )
    if inputs.skip_bad_lines or not _is_json(file):
        lines = records(file, parse, inputs.skip_bad_lines)
        bar = tqdm(lines, desc=f"read {file.name}", unit=" lines", disable=inputs.quiet, leave=False)
        file = write_lines(engine, file.name, ({c: line.get(c) for c in columns} for line in bar))
    return engine.json(file, columns)


def write_lines(engine: Engine, name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as JSON lines into the engine's work folder."""
    file = engine.scratch(f"{name}.jsonl")
    with file.open("w", encoding="utf-8", errors="replace") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return file


def write_table(engine: Engine, name: str, header: Sequence[str], lines: Iterator[str]) -> Path:
    """Write tab-separated lines under a header into the engine's work folder."""
    file = engine.scratch(f"{name}.tsv")
    with file.open("w", encoding="utf-8") as out:
        out.write("\t".join(header) + "\n")
        out.writelines(lines)
    return file


def _is_json(file: Path) -> bool:
    try:
        first_record(file)
    except UserError:
        return False
    return True
