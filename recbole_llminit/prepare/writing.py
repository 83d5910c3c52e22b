"""Write a dataset's files in a work folder, and move them into the dataset's folder at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from recbole_llminit.dataset.card import CARD, read_card
from recbole_llminit.dataset.places import atomic_file
from recbole_llminit.prepare import atomic
from recbole_llminit.prepare.engine import Engine
from recbole_llminit.utils.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import Table

_COLUMNS = {"user_id": "token", "item_id": "token", "rating": "float", "timestamp": "float"}
_ORDER = ("user_id", "timestamp", "item_id", "rating")  # by which the rows are sorted


def write_files(
    name: str, place: Path, table: Table, items: Table | None, types: Mapping[str, str], engine: Engine
) -> tuple[dict[str, str], dict[str, float]]:
    """Write the atomic files of the dataset `name` into the folder `place`, with sorted rows.

    Args:
        name: Name of the dataset.
        place: The work folder.
        table: Interactions.
        items: Items with clean texts, or None, in which case no ``.item`` file is written.
        types: RecBole's type of each text column.
        engine: Engine of the tables.

    Returns:
        Each file's SHA-256, and the share of items in which each text column is not empty.

    Raises:
        UserError: If no item has a text, or if RecBole would misread an id.
    """
    columns = {column: kind for column, kind in _COLUMNS.items() if column in table.columns}
    order = [column for column in _ORDER if column in columns]
    rows = engine.batches(table.select(*columns).order_by(order))
    sha256 = {f"{name}.inter": atomic.write(place / f"{name}.inter", columns, rows)}
    coverage: dict[str, float] = {}
    if items is not None:
        ids = table.select("item_id").distinct()
        texts = ids.left_join(items, "item_id").select(ids.item_id, *[items[column] for column in types])
        rows = _counted(engine.batches(texts.order_by("item_id")), list(types), coverage)
        header = {"item_id": "token", **types}
        sha256[f"{name}.item"] = atomic.write(place / f"{name}.item", header, rows)
        _refuse_no_text(coverage, ids, engine)
    return sha256, coverage


def _refuse_no_text(coverage: Mapping[str, float], ids: Table, engine: Engine) -> None:
    if coverage and not any(coverage.values()):
        item = engine.row(ids)["item_id"]
        raise UserError(
            f"no item has a text: items of the interactions, such as '{item}', are not among those that "
            "are described; check that both files have the same ids"
        )


def _counted(
    batches: Iterator[pa.RecordBatch], columns: list[str], coverage: dict[str, float]
) -> Iterator[pa.RecordBatch]:
    """Yield the batches, and then set in `coverage` the share of rows in which each column is not empty."""
    rows, filled = 0, dict.fromkeys(columns, 0)
    for batch in batches:
        rows += batch.num_rows
        for column in columns:
            filled[column] += sum(map(bool, batch[column].to_pylist()))
        yield batch
    coverage.update({column: round(filled[column] / rows, 4) for column in columns})


def refuse_foreign_files(folder: Path) -> None:
    """Refuse to replace a dataset that `prepare` did not make, because it may be the only copy.

    Raises:
        UserError: If the folder holds atomic files without a data card.
    """
    there = [file for suffix in ("inter", "item") if (file := atomic_file(folder, suffix)).exists()]
    if there and read_card(folder) is None:
        raise UserError(
            f"{there[0]} exists and was not made by prepare: choose another name, or move it away"
        )


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside the dataset's folder, and remove it at the end.

    Work folders of processes that no longer run are removed first.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{folder.name}.prepare-"
    for left in folder.parent.glob(f"{prefix}*"):
        process = left.name.removeprefix(prefix)
        if process.isdecimal() and (int(process) == os.getpid() or not psutil.pid_exists(int(process))):
            shutil.rmtree(left, ignore_errors=True)
    place = folder.with_name(f"{prefix}{os.getpid()}").absolute()
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def put(place: Path, folder: Path, files: list[str]) -> None:
    """Move `files` from the work folder `place` into the dataset's folder, in their order.

    The old card is removed before and the new card is last in `files`, so that at any moment a card in
    the folder describes the files beside it. Files of the old card that `files` lacks are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = read_card(folder)
    outdated = set(before.sha256 if before else ()) - set(files)
    (folder / CARD).unlink(missing_ok=True)
    for file in outdated:
        (folder / file).unlink(missing_ok=True)
    for file in files:
        (place / file).replace(folder / file)
