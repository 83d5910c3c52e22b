"""Summarise a study: means with intervals, gains over the baseline, and tests of whether gains are noise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from recbole_llminit.evaluation.statistics import compare_seeds, half_width, holm, paired_p
from recbole_llminit.experiment.rows import read_rows
from recbole_llminit.experiment.study import Study
from recbole_llminit.report.entries import Entry, of_rows
from recbole_llminit.report.groups import groups_markdown
from recbole_llminit.report.table import label, shown_gain
from recbole_llminit.run.diagnostics import users_file
from recbole_llminit.utils.errors import UserError, nearest
from recbole_llminit.utils.writing import write_text

_INTERVAL = (
    "± half of the 95 % t-interval of the paired difference in percent of the baseline's mean, "
    "not corrected for the number of comparisons"
)
NOTES = "notes.txt"  # file of the notes below the tables; the page of the study shows it too
Table = tuple[str, list[str], list[list[str]]]  # title, head and rows, as text


def compare(study: Study, rows: pd.DataFrame, runs: Path) -> pd.DataFrame:
    """Compare each setting with the baseline over seeds, and return the study's table.

    The table has one line for each dataset, protocol, model, varied values and setting. For each metric M a
    line has ``M`` (the mean), ``M half`` (half of the mean's 95 % interval), ``M gain`` (percent over the
    baseline, over the seeds that both have), ``M gain half`` (half of the gain's 95 % interval), ``M p``
    (paired t-test over these seeds) and ``M p users`` (paired t-test over users, with each user's mean over
    these seeds). Both p are Holm-corrected for all comparisons of a dataset, protocol and metric; the
    intervals are not corrected.

    Args:
        study: The study.
        rows: Its rows.
        runs: Folder of result files, with the files of users' metrics beside them.

    Raises:
        UserError: If no result holds a metric of the study.
    """
    for metric in study.metrics:
        if metric.lower() not in rows:
            there = [str(column) for column in rows if "@" in str(column)]
            raise UserError(
                f"metric '{metric}' is in no result of {study.name}.{nearest(metric.lower(), there)}"
            )
    place, lines = ["dataset", "protocol", "model", *study.vary], []
    for where, part in rows.groupby(place, sort=False):
        baseline = part[part["setting"] == study.base].set_index("seed")
        for setting, cell in part.groupby("setting", sort=False):
            line = dict(zip(place, where, strict=True)) | {"setting": setting}
            other = baseline.iloc[:0] if setting == study.base else baseline  # not compared with itself
            lines.append(line | _line(study, cell.set_index("seed"), other, runs))
    table = pd.DataFrame(lines)
    for column in (f"{metric} {kind}" for metric in study.metrics for kind in ("p", "p users")):
        for lines_of in table.groupby(["dataset", "protocol"]).groups.values():
            table.loc[lines_of, column] = holm(table.loc[lines_of, column].to_numpy())
    return table


def _line(study: Study, cell: pd.DataFrame, baseline: pd.DataFrame, runs: Path) -> dict[str, Any]:
    line: dict[str, Any] = {"seeds": len(cell)}
    for metric in study.metrics:
        ours: dict[Any, float] = cell[metric.lower()].dropna().to_dict()
        theirs: dict[Any, float] = baseline[metric.lower()].dropna().to_dict()
        found = compare_seeds(ours, theirs)
        line |= {metric: cell[metric.lower()].mean(), f"{metric} half": half_width(list(ours.values()))}
        line |= {f"{metric} gain": found.gain, f"{metric} gain half": found.half, f"{metric} p": found.p}
        line[f"{metric} p users"] = _users_p(cell, baseline, list(found.seeds), metric.lower(), runs)
    columns = ["best_epoch", "seconds", "parameters", "valid"]
    columns += [column for column in map(str, cell.columns) if column.startswith("effective_rank_")]
    return line | {column: pd.to_numeric(cell[column]).mean() for column in columns}


def _users_p(cell: pd.DataFrame, baseline: pd.DataFrame, seeds: list[int], metric: str, runs: Path) -> float:
    """Return the p of a paired t-test over users, or NaN if a run's metrics by user are not stored."""
    files = [
        [users_file(runs / f"{run}.json") for run in frame.loc[seeds, "run"]] for frame in (cell, baseline)
    ]
    whole = " " not in metric  # metrics of warm and cold items are not stored by user
    if not (seeds and whole and all(file.is_file() for group in files for file in group)):
        return float("nan")
    ours, theirs = (
        pd.concat([pd.read_parquet(file, columns=["user", metric]) for file in group])
        .groupby("user")[metric]
        .mean()
        for group in files
    )
    common = ours.index.intersection(theirs.index)
    return paired_p(ours[common].to_numpy(), theirs[common].to_numpy())


def shown(study: Study, table: pd.DataFrame) -> list[Table]:
    """Return the table as text: a title, the head and the rows for each dataset and protocol."""
    head = ["model", *study.vary, "setting", "seeds"]
    head += [name for metric in study.metrics for name in (metric, "gain %", "p", "p (users)")]
    head += ["best epoch", "seconds", "parameters"]
    tables: list[Table] = []
    for where, part in table.groupby(["dataset", "protocol"], sort=False):
        title = f"{where[0]}, {label(str(where[1]))}"
        tables.append((title, head, [_shown_line(study, line) for _, line in part.iterrows()]))
    return tables


def _shown_line(study: Study, line: Any) -> list[str]:
    cells = [str(line[key]) for key in ("model", *study.vary, "setting", "seeds")]
    for metric in study.metrics:
        half = line[f"{metric} half"]
        cells.append(f"{line[metric]:.4f}" + ("" if np.isnan(half) else f" ± {half:.4f}"))
        cells.append(shown_gain(line[f"{metric} gain"], line[f"{metric} gain half"]))
        cells += [_p(line[f"{metric} {kind}"]) for kind in ("p", "p users")]
    return [*cells, *(_number(line[key]) for key in ("best_epoch", "seconds", "parameters"))]


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:,.0f}"


def _p(value: float) -> str:
    return "" if pd.isna(value) else "<.001" if value < 0.001 else f"{value:.3f}"


def notes(study: Study, rows: pd.DataFrame, command: str, best: Mapping[str, Any]) -> list[str]:
    """Return the notes below the tables, which say how to read the tables and what made them."""
    versions = "; ".join(
        ", ".join(f"{name} {version}" for name, version in json.loads(text).items())
        for text in rows["versions"].unique()
    )
    vectors = rows.dropna(subset=["vectors"]).groupby("dataset")["vectors"].unique()
    hashes = "; ".join(f"{name}: {', '.join(v[:12] for v in found)}" for name, found in vectors.items())
    said = [
        f"Mean over seeds, ± half of the 95 % t-interval. Gains are over '{study.base}' of the same model, "
        f"over the seeds that both have, {_INTERVAL}; none where the baseline has 0 or no such seed. "
        "p: paired t-test over seeds (would other seeds show it?); p (users): paired over users, each "
        "user's mean over these seeds (would other users?). Both are Holm-corrected for the comparisons of "
        "a table, each metric by itself: the same comparison has another p in a table of another length. A "
        "seed decides sampling, the draws of a start, and the split where it is random. Masked and unmasked "
        "numbers are not comparable.",
        f"Seeds: {', '.join(map(str, sorted(rows['seed'].unique())))}. Keys of every run: "
        f"{json.dumps(study.keys)}; by model: {json.dumps(study.per_model)}; settings: "
        f"{json.dumps(study.settings)}. A setting without an llm_* key is the plain model. Seconds are a "
        "run's from start to end, beside the others that ran at the time.",
        f"{date.today().isoformat()}; {versions}. Vectors (SHA-256): {hashes or 'none'}.",
    ]
    if study.tune:
        said.append(f"Searched on validation, first seed: {json.dumps(study.tune)}.")
        said += [f"Best of {what}: {json.dumps(values)}" for what, values in best.items()]
    return [*said, f"Command: {command}"]


def write_summary(study: Study, folder: Path, command: str, best: Mapping[str, Any]) -> None:
    """Write ``summary.md``, ``groups.md``, ``comparisons.jsonl`` and ``notes.txt`` of a study.

    Args:
        study: The study.
        folder: Its folder, which holds its rows.
        command: The command line that made it.
        best: The best values of each hyper-parameter search, by a text that names the search.

    Raises:
        UserError: If the folder holds no rows, or no result holds a metric of the study.
    """
    rows, runs = read_rows(folder), folder.parent / "runs"
    table, entries = compare(study, rows, runs), of_rows(rows, runs, study.base, list(study.vary))
    said = notes(study, rows, command, best)
    write_text(as_markdown(study, shown(study, table), said), folder / "summary.md")
    write_text(_groups(study, entries, command), folder / "groups.md")
    write_text(_as_lines(table), folder / "comparisons.jsonl")
    write_text("\n".join(said) + "\n", folder / NOTES)


def as_markdown(study: Study, tables: Sequence[Table], said: Sequence[str]) -> str:
    """Return the summary as Markdown."""
    parts = [
        f"## {title}\n\n{tabulate(rows, head, 'github', disable_numparse=True)}"
        for title, head, rows in tables
    ]
    return "\n\n".join([f"# {study.name}\n\n{study.about}", *parts, *said]) + "\n"


def _groups(study: Study, entries: Sequence[Entry], command: str) -> str:
    """Return the gains by group of users and of target items as Markdown."""
    metric = study.group_metric
    tables = groups_markdown(entries, metric.lower()) or (
        f"Nothing to show: no setting and '{study.base}' have {metric} by group for the same seed."
    )
    return (
        f"# {study.name}, {metric} by group\n\n{tables}\n\n"
        f"Gains over '{study.base}' of the same model in percent, over the seeds that both have, "
        f"{_INTERVAL}; '0 to' where the baseline has 0, and none where the groups are of other users. The "
        "baseline's row has the users of each group, mean over the seeds that have it; of a group of items, "
        f"the users who have such a target item.\n\nCommand: {command}\n"
    )


def _as_lines(table: pd.DataFrame) -> str:
    """Return the table as unrounded JSON lines; ``DataFrame.to_json`` would round a small p to zero."""
    lines = table.astype(object).where(table.notna(), None).to_dict("records")
    return "".join(json.dumps(line) + "\n" for line in lines)
