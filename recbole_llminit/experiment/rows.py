"""Make, check, write and read the rows of a study: one flat JSON object for each cell of its grid."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_llminit.dataset.card import read_card
from recbole_llminit.experiment.grid import Cell
from recbole_llminit.report.table import read_result
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.writing import write_text

ROWS = "rows.jsonl"


def row_of(cell: Cell, file: Path) -> dict[str, Any]:
    """Return the row of a cell, read from the result file of its run.

    Metrics are taken unrounded from the result's groups, because RecBole rounds its metrics to four
    decimals. Metrics of warm and cold items have columns such as ``ndcg@10 cold``.

    Raises:
        UserError: If the file is not a result file, or is of another model or dataset than the cell's run.
    """
    result = read_result(file)
    wanted, is_of = (cell.run.model, cell.run.dataset), (result["model"], result["dataset"])
    if is_of != wanted:
        raise UserError(f"{file} is of {' on '.join(is_of)}, not of {' on '.join(wanted)}; remove it")
    unrounded = {
        metric if group["by"] == "all" else f"{metric} {group['group']}": value
        for group in result.get("groups", [])
        if group["by"] in ("all", "items")
        for metric, value in group["metrics"].items()
    }
    tables: dict[str, Any] = result.get("tables", {})
    return {
        **{key: getattr(cell, key) for key in ("dataset", "protocol", "model", "setting", "seed")},
        "run": cell.run.id,
        "trained": cell.run.model,
        "keys": json.dumps(cell.run.keys, sort_keys=True, default=str),
        **result["test"],
        **unrounded,
        "valid": max(result["curve"]["valid"], default=None) if "curve" in result else None,
        **{key: result[key] for key in ("best_epoch", "epochs")},
        "seconds": result["seconds"]["total"],
        "train_seconds": result["seconds"]["train"],
        **{key: result[key] for key in ("parameters", "peak_memory_bytes")},
        **result["counts"],
        "data": _as_text((result["data"] or {}).get("sha256")),
        "vectors": result["vectors"],
        "versions": json.dumps(result["versions"], sort_keys=True),
        **{f"effective_rank_{name}": table["effective_rank"] for name, table in tables.items()},
        **{key: str(value) for key, value in cell.varied},  # last, so that a varied `epochs` wins
    }


def refuse_mixed(rows: Sequence[Mapping[str, Any]], vary: Sequence[str], data_path: Path) -> None:
    """Raise an error if results of a study can't be compared, because their data or vectors differ.

    Args:
        rows: A study's rows.
        vary: The keys that the study varies; rows with different values of these may differ in their data.
        data_path: Folder of datasets, whose cards hold the hashes of the files that are there now.

    Raises:
        UserError: If a dataset's results were made from different data, from data other than those that the
            dataset's card describes now, or with different vectors under one name.
    """
    read = {name: read_card(data_path / name) for name in {row["dataset"] for row in rows}}
    cards = {name: card and _as_text(card.sha256) for name, card in read.items()}
    first: dict[tuple[Any, ...], tuple[str, Any]] = {}
    for row in rows:
        card, of_data = cards[row["dataset"]], row["data"]
        data = (*(row[count] for count in ("users", "items", "interactions")), of_data)
        table = json.loads(row["keys"]).get("llm_embedding")
        for what, value in (
            (("data", row["dataset"], row["protocol"], *(row[key] for key in vary)), data),
            (("vectors", row["dataset"], table), row["vectors"]),
        ):
            if value is None:  # a plain model reads no vectors
                continue
            run, seen = first.setdefault(what, (row["run"], value))
            if seen != value:
                raise UserError(
                    f"results {run} and {row['run']} were made from different {what[0]} under the name "
                    f"'{row['dataset']}'; remove the older ones or name another --out"
                )
        if card and of_data and card != of_data:
            raise UserError(
                f"result {row['run']} was made from other data than {data_path / row['dataset']} holds now; "
                "remove such results or name another --out"
            )


def _as_text(hashes: Mapping[str, str] | None) -> str | None:
    """Return the hashes of a dataset's files as one text, or None if they are not known."""
    return None if hashes is None else json.dumps(hashes, sort_keys=True)


def write_rows(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write the rows into ``rows.jsonl`` in `folder`."""
    write_text("".join(json.dumps(row) + "\n" for row in rows), folder / ROWS)


def read_rows(folder: Path) -> pd.DataFrame:
    """Read the rows of a study from its folder.

    Raises:
        UserError: If the folder holds no ``rows.jsonl``.
    """
    file = folder / ROWS
    if not file.is_file():
        raise UserError(f"{folder} holds no {ROWS}; `recbole-llminit experiment` writes it")
    return pd.DataFrame([json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()])
