"""The input and output of every source, and functions that several sources use."""

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
    """The input of a source, with all files local.

    Attributes:
        recipe: Gives column names, the time unit, and the size of a synthetic dataset.
        files: Path by role: ``reviews``, a file of interactions; ``metadata``, a file of items;
            ``path``, a folder.
        skip_bad_lines: Number of unreadable lines that may be left out of each file.
        quiet: Show no progress bars.
    """

    recipe: Recipe
    files: Mapping[str, Path]
    skip_bad_lines: int
    quiet: bool


@dataclass(frozen=True)
class Raw:
    """The output of a source: raw tables as Ibis expressions, with the same column names for all sources.

    Attributes:
        interactions: ``user_id``, ``item_id`` (strings) and, where known, ``rating``, ``timestamp``
            (float64; seconds) and ``review`` (string).
        items: ``item_id`` and text columns (strings; a list is JSON text), or None.
        types: RecBole's type of each text column, in the order in which they are written.
    """

    interactions: Table
    items: Table | None
    types: Mapping[str, str]


def number(column: Column) -> Column:
    """Return a column as float64, with null where a value is not a number or is NaN."""
    value = column.try_cast("float64")
    return value.isnan().ifelse(ibis.null("float64"), value)


def parse_literal(line: str) -> dict[str, Any]:
    """Parse a line that holds a JSON object or a Python dict of literals, without executing anything.

    Raises:
        ValueError: If it holds anything else.
    """
    try:
        return parse_json(line)
    except ValueError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # the escape "\/" is common in crawled text
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
    """Read columns of a file of JSON lines.

    The engine reads the file itself if the first line is JSON and no line may be left out. Other files,
    such as those of Python literals, are first translated into JSON lines by `parse`.

    Raises:
        UserError: If the first line lacks a required column, or if a line is unreadable.
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
    """Write rows as JSON lines into the engine's work folder, and return the file."""
    file = engine.scratch(f"{name}.jsonl")
    with file.open("w", encoding="utf-8", errors="replace") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return file


def write_table(engine: Engine, name: str, header: Sequence[str], lines: Iterator[str]) -> Path:
    """Write tab-separated lines under a header into the engine's work folder, and return the file."""
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
