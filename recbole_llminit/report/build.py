"""Build the report of some results: one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from recbole_llminit.report import figures
from recbole_llminit.report.entries import Entry, by_table, first_seeds, of_files
from recbole_llminit.report.examples import examples, pair_of
from recbole_llminit.report.groups import GROUPS, group_values
from recbole_llminit.report.page import page, table_of
from recbole_llminit.report.table import label
from recbole_llminit.utils.writing import write_text

Parts = list[tuple[str, Markup]]  # title and HTML of each part


def report_files(files: Sequence[Path], metrics: Sequence[str], target: Path) -> Path:
    """Write the report of result files and return its path; `of_files` says which results are the baseline.

    Args:
        files: The result files.
        metrics: The metrics of the table; the parts below it show the last one.
        target: The file of the page.

    Raises:
        UserError: If a file is no result file.
    """
    entries = of_files(files)
    head = ["dataset", "protocol", "setting", "seed", *metrics, "best epoch", "seconds", "parameters"]
    parts: Parts = [("Results", table_of(head, [_line(entry, metrics) for entry in entries]))]
    parts += parts_of(entries, metrics[-1].lower())
    return write(target, "Runs", f"{len(files)} result files", parts)


def _line(entry: Entry, metrics: Sequence[str]) -> list[str]:
    result = entry.result
    scores = [result["test"].get(metric.lower()) for metric in metrics]
    parameters = result.get("parameters")
    return [
        *(entry.dataset, label(entry.protocol), entry.setting, str(entry.seed)),
        *("" if score is None else f"{score:.4f}" for score in scores),
        *(str(result["best_epoch"]), f"{result['seconds']['total']:.0f}"),
        "" if parameters is None else f"{parameters:,}",
    ]


def parts_of(entries: Sequence[Entry], metric: str) -> Parts:
    """Return the parts of a page about some results, for each dataset and protocol.

    Args:
        entries: The results.
        metric: The metric that is shown, such as ``ndcg@10``.
    """
    parts: Parts = []
    for where, some in by_table(entries):
        parts.append((f"Training curves: {where}", figures.curves(some)))
        parts += [(f"{title}: {where}", figures.gains(some, by, metric)) for by, title in GROUPS.items()]
        parts.append((f"Warm and cold items, {metric}: {where}", _cold(some, metric)))
        parts.append((f"Spectrum of the trained item table: {where}", figures.spectra(some) + _ranks(some)))
    if pair := pair_of(entries):
        parts.append(("Real users", examples(*pair)))
    return [(title, text) for title, text in parts if text]


def _cold(entries: Sequence[Entry], metric: str) -> Markup:
    """Return a table of means over seeds for all, warm and cold items; empty if no item is cold."""
    values = pd.concat([group_values(entries, by, metric) for by in ("all", "items")])
    if values.empty or "cold" not in set(values["bucket"]):
        return Markup()
    columns, rows = ["all", "warm", "cold"], []
    for (backbone, setting), cell in values.groupby(["backbone", "setting"], sort=False):
        means = cell.groupby("bucket", sort=False)["value"].mean()
        seeds = str(cell["seed"].nunique())
        shown = (f"{means[name]:.4f}" if name in means else "" for name in columns)
        rows.append([str(backbone), str(setting), seeds, *shown])
    return table_of(["backbone", "setting", "seeds", *columns], rows)


def _ranks(entries: Sequence[Entry]) -> Markup:
    tables = [(entry, entry.result.get("tables") or {}) for entry in first_seeds(entries)]
    rows = [
        [entry.group, entry.setting, *(_rank(found.get(f"{side}_embedding")) for side in ("user", "item"))]
        for entry, found in tables
        if found
    ]
    return table_of(["backbone", "setting", "effective rank, users", "items"], rows) if rows else Markup()


def _rank(table: dict[str, Any] | None) -> str:
    return f"{table['effective_rank']:.1f} of {table['shape'][1]}" if table else ""


def write(target: Path, title: str, about: str, parts: Parts) -> Path:
    """Write the page with all that it needs in one step, and return its path."""
    write_text(page(title, about, parts, figures.script()), target)
    return target
