"""Write the HTML page of a study, with its tables, a curve over a varied key, and figures of its results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from recbole_llminit.experiment.rows import read_rows
from recbole_llminit.experiment.study import Study
from recbole_llminit.experiment.summary import NOTES, compare, shown
from recbole_llminit.report import figures
from recbole_llminit.report.build import Parts, parts_of, write
from recbole_llminit.report.entries import of_rows
from recbole_llminit.report.page import render, table_of
from recbole_llminit.report.table import label


def report_study(folder: Path) -> Path:
    """Write ``report.html`` into a study's folder and return its path.

    Raises:
        UserError: If the folder holds no study.
    """
    rows, runs = read_rows(folder), folder.parent / "runs"
    study = Study.read(str(folder / "study.yaml"))
    table = compare(study, rows, runs)
    parts: Parts = [(title, table_of(head, lines)) for title, head, lines in shown(study, table)]
    parts += _sweeps(study, table)
    entries = of_rows(rows, runs, study.base, list(study.vary))
    parts += parts_of(entries, study.group_metric.lower())
    if (folder / NOTES).is_file():
        lines = (folder / NOTES).read_text(encoding="utf-8").splitlines()
        parts.append(("How to read it", render("notes", lines=lines)))
    return write(folder / "report.html", study.name, study.about, parts)


def _sweeps(study: Study, table: pd.DataFrame) -> Iterator[tuple[str, Markup]]:
    """Yield titles and curves over the varied key, if the study varies one key whose values are numbers."""
    key = next(iter(study.vary), None)
    if key is None or len(study.vary) > 1 or pd.to_numeric(table[key], errors="coerce").isna().any():
        return
    for where, part in table.groupby(["dataset", "protocol"], sort=False):
        dataset, protocol = map(str, where)
        title = f"{study.metrics[-1]} by {key}: {dataset}, {label(protocol)}"
        yield title, figures.sweep(part, key, study.metrics[-1])
