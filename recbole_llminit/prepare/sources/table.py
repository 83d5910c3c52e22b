"""Read any tables of interactions and items (CSV, TSV, JSON lines or Parquet), with mapped columns."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_llminit.prepare.engine import Engine
from recbole_llminit.prepare.files import parse_json, records
from recbole_llminit.prepare.sources.base import TEXT, Inputs, Raw, json_table, number
from recbole_llminit.utils.errors import UserError, nearest

if TYPE_CHECKING:
    from ibis.expr.types import Column, Table

_NAMES = {"user": "user_id", "item": "item_id", "rating": "rating", "timestamp": "timestamp"}
_HEAD = 1000  # JSON lines searched for columns, because a line may lack some, such as the rating
_UNITS = {"seconds": 1, "milliseconds": 1000}


def read(engine: Engine, inputs: Inputs) -> Raw:
    """Read the interactions, and the items if a file of items is given.

    Columns that are not mapped are called ``user_id``, ``item_id``, ``rating`` and ``timestamp``; the
    last two may be absent. The text columns of the items are the mapped ones, or all but the id if none
    is mapped.

    Raises:
        UserError: If a mapped or required column is missing, or if the format is not known.
    """
    items = _items(engine, inputs) if "metadata" in inputs.files else None
    types = {column: TEXT for column in items.columns if column != "item_id"} if items is not None else {}
    return Raw(_interactions(engine, inputs), items, types)


def _interactions(engine: Engine, inputs: Inputs) -> Table:
    mapped = inputs.recipe.columns
    if unknown := set(mapped) - set(_NAMES):
        raise UserError(f"--columns '{unknown.pop()}' must be one of {', '.join(_NAMES)}, as in user=uid")
    file = inputs.files["reviews"]
    names = {**_NAMES, **mapped}
    raw = _open(engine, file, inputs)
    wanted = [name for role, name in names.items() if role in ("user", "item") or role in mapped]
    _require(file, wanted, raw, "--columns")
    columns = {"user_id": raw[names["user"]].cast("string"), "item_id": raw[names["item"]].cast("string")}
    if names["rating"] in raw.columns:
        columns["rating"] = number(raw[names["rating"]])
    if names["timestamp"] in raw.columns:
        columns["timestamp"] = _seconds(raw[names["timestamp"]], inputs.recipe.time_unit)
    return raw.select(**columns)


def _items(engine: Engine, inputs: Inputs) -> Table:
    file = inputs.files["metadata"]
    mapped = dict(inputs.recipe.item_columns)
    item = mapped.pop("item", "item_id")
    if "item_id" in mapped:
        raise UserError(f"--item-columns item_id={mapped['item_id']}: the ids' column is named item=...")
    raw = _open(engine, file, inputs)
    _require(file, (item, *mapped.values()), raw, "--item-columns")
    mapped = mapped or {column: column for column in raw.columns if column not in (item, "item_id")}
    texts = {ours: raw[theirs].cast("string") for ours, theirs in mapped.items()}
    return raw.select(item_id=raw[item].cast("string"), **texts)


def _open(engine: Engine, file: Path, inputs: Inputs) -> Table:
    """Open a file by its suffix; the columns of JSON lines are those of the first 1,000 lines."""
    suffix = Path(file.name.removesuffix(".gz")).suffix
    if suffix == ".parquet":
        return engine.parquet(file)
    if suffix in (".csv", ".tsv"):
        return engine.csv(file, "," if suffix == ".csv" else "\t")
    if suffix in (".json", ".jsonl", ".ndjson"):
        head = islice(records(file, parse_json, inputs.skip_bad_lines), _HEAD)
        columns = dict.fromkeys(column for record in head for column in record)
        return json_table(engine, file, list(columns), (), inputs)
    raise UserError(
        f"{file}: '{suffix}' is no known table; expected .csv, .tsv, .jsonl or .parquet (.gz too)"
    )


def _require(file: Path, names: Iterable[str], raw: Table, flag: str) -> None:
    for name in names:
        if name not in raw.columns:
            raise UserError(
                f"{file} has no column '{name}' (it has {', '.join(raw.columns)})."
                + nearest(name, raw.columns)
                + f" Name its columns with {flag}"
            )


def _seconds(column: Column, unit: str) -> Column:
    if column.type().is_temporal() or unit == "iso":
        return column.try_cast("timestamp('UTC')").truncate("s").epoch_seconds().cast("float64")
    if unit not in _UNITS:
        raise UserError(f"--time-unit '{unit}' must be one of {', '.join((*_UNITS, 'iso'))}")
    return number(column) / _UNITS[unit]
