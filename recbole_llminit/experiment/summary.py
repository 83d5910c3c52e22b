"""The summary of a study: means with intervals, gains over the base, and whether they are noise."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from recbole_llminit.evaluation.statistics import gain, gain_half, half_width, holm, paired_p
from recbole_llminit.experiment.rows import read_rows
from recbole_llminit.experiment.study import Study
from recbole_llminit.report.entries import Entry, of_rows
from recbole_llminit.report.groups import groups_markdown
from recbole_llminit.report.page import page, table_of
from recbole_llminit.report.table import label, shown_gain
from recbole_llminit.run.diagnostics import users_file
from recbole_llminit.utils.errors import UserError, nearest
from recbole_llminit.utils.writing import replacing

_INTERVAL = (
    "± half of the 95 % t-interval of the paired difference in percent of the base's mean, "
    "not corrected for the number of comparisons"
)
NOTES = "notes.txt"  # what is said below the tables, for the report


def compare(study: Study, rows: pd.DataFrame, runs: Path) -> pd.DataFrame:
    """Return one line per cell of the table, over its seeds.

    For each metric M: ``M`` (mean), ``M half`` (of the 95 % interval), ``M gain`` (percent over the base,
    over the seeds that both have), ``M gain half`` (of its 95 % interval), ``M p`` (paired t-test over
    these seeds) and ``M p users`` (paired over users, each user's mean over these seeds). Both p are
    Holm-corrected for all comparisons of a dataset, protocol and metric; the interval is not.

    Args:
        study: The study.
        rows: Its rows.
        runs: Folder of result files, with the users' files beside them.

    Raises:
        UserError: If the results hold no such metric.
    """
    for metric in study.metrics:
        if metric.lower() not in rows:
            there = [str(column) for column in rows if "@" in str(column)]
            raise UserError(
                f"metric '{metric}' is in no result of {study.name}.{nearest(metric.lower(), there)}"
            )
    place = ["dataset", "protocol", "model", *study.vary]
    lines = []
    for where, cell in rows.groupby([*place, "setting"], sort=False):
        same = np.logical_and.reduce([rows[key] == value for key, value in zip(place, where, strict=False)])
        base = rows[same & (rows["setting"] == study.base)].set_index("seed")
        line = dict(zip([*place, "setting"], where, strict=True))
        lines.append(line | _line(study, cell.set_index("seed"), base, runs))
    table = pd.DataFrame(lines)
    for metric in study.metrics:
        for column in (f"{metric} p", f"{metric} p users"):
            for part in table.groupby(["dataset", "protocol"]).groups.values():
                table.loc[part, column] = holm(table.loc[part, column].to_numpy())
    return table


def _line(study: Study, cell: pd.DataFrame, base: pd.DataFrame, runs: Path) -> dict[str, Any]:
    is_base = bool(cell["setting"].iloc[0] == study.base)
    both = [seed for seed in cell.index if seed in base.index and not is_base]
    line: dict[str, Any] = {"seeds": len(cell)}
    for metric in study.metrics:
        column = metric.lower()
        there = [seed for seed in both if pd.notna([cell.at[seed, column], base.at[seed, column]]).all()]
        ours, theirs = (frame.loc[there, column].tolist() if there else [] for frame in (cell, base))
        line[metric] = cell[column].mean()
        line[f"{metric} half"] = half_width(cell[column].dropna().tolist())
        line[f"{metric} gain"] = gain(ours, theirs) if there else np.nan
        line[f"{metric} gain half"] = gain_half(ours, theirs) if there else np.nan
        line[f"{metric} p"] = paired_p(ours, theirs) if there else np.nan
        line[f"{metric} p users"] = _users_p(cell, base, there, column, runs)
    columns = ["best_epoch", "seconds", "parameters", "valid"]
    columns += [column for column in map(str, cell.columns) if column.startswith("effective_rank_")]
    return line | {column: pd.to_numeric(cell[column]).mean() for column in columns}


def _users_p(cell: pd.DataFrame, base: pd.DataFrame, seeds: list[int], metric: str, runs: Path) -> float:
    files = [
        [users_file(runs / f"{run}.json") for run in frame.loc[seeds, "run"].astype(str)]
        for frame in (cell, base)
    ]
    whole = " " not in metric  # warm and cold ones are not stored by user
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


def shown(study: Study, table: pd.DataFrame) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return the tables as text: for each dataset and protocol a title, the head and the rows."""
    tables = []
    for where, part in table.groupby(["dataset", "protocol"], sort=False):
        dataset, protocol = map(str, where)
        head = ["model", *study.vary, "setting", "seeds"]
        for metric in study.metrics:
            head += [metric, "gain %", "p", "p (users)"]
        head += ["best epoch", "seconds", "parameters"]
        lines = [_shown_line(study, line) for _, line in part.iterrows()]
        tables.append((f"{dataset}, {label(protocol)}", head, lines))
    return tables


def _shown_line(study: Study, line: Any) -> list[str]:
    cells = [str(line[key]) for key in ("model", *study.vary, "setting", "seeds")]
    for metric in study.metrics:
        half = line[f"{metric} half"]
        cells.append(f"{line[metric]:.4f}" + ("" if np.isnan(half) else f" ± {half:.4f}"))
        cells.append(shown_gain(line[f"{metric} gain"], line[f"{metric} gain half"]))
        cells += [_p(line[f"{metric} {kind}"]) for kind in ("p", "p users")]
    return [*cells, *(_number(line[key], ",.0f") for key in ("best_epoch", "seconds", "parameters"))]


def _number(value: float, spec: str) -> str:
    return "" if pd.isna(value) else format(value, spec)


def _p(value: float) -> str:
    return "" if pd.isna(value) else "<.001" if value < 0.001 else f"{value:.3f}"


def notes(study: Study, rows: pd.DataFrame, command: str, best: Mapping[str, Any]) -> list[str]:
    """Return what has to be said with the tables: how to read them, and what made them."""
    versions = "; ".join(
        ", ".join(f"{name} {version}" for name, version in json.loads(text).items())
        for text in rows["versions"].unique()
    )
    vectors = rows.dropna(subset=["vectors"]).groupby("dataset")["vectors"].unique()
    hashes = "; ".join(f"{name}: {', '.join(v[:12] for v in found)}" for name, found in vectors.items())
    said = [
        f"Mean over seeds, ± half of the 95 % t-interval. Gains are over '{study.base}' of the same model, "
        f"over the seeds that both have, {_INTERVAL}; none where the base has 0 or no such seed. "
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
    """Write ``summary.md`` and ``.html``, ``groups.md``, ``comparisons.jsonl`` and ``notes.txt`` of a study.

    Args:
        study: The study.
        folder: Its folder.
        command: What made it.
        best: What each search was for, and the best values that it found.
    """
    rows = read_rows(folder)
    runs = folder.parent / "runs"
    table, entries = compare(study, rows, runs), of_rows(rows, runs, study.base, list(study.vary))
    tables, said = shown(study, table), notes(study, rows, command, best)
    for name, text in (
        ("summary.md", as_markdown(study, tables, said)),
        ("summary.html", as_html(study, tables, said)),
        ("groups.md", _groups(study, entries, command)),
        ("comparisons.jsonl", _as_lines(table)),
        (NOTES, "\n".join(said) + "\n"),
    ):
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _groups(study: Study, entries: Sequence[Entry], command: str) -> str:
    """Return the page of user and item groups."""
    metric = study.group_metric
    tables = groups_markdown(entries, metric.lower()) or (
        f"Nothing to show: no setting and '{study.base}' have {metric} by group for the same seed."
    )
    return (
        f"# {study.name}, {metric} by group\n\n{tables}\n\n"
        f"Gains over '{study.base}' of the same model in percent, over the seeds that both have, "
        f"{_INTERVAL}; '0 to' where the base has 0, and none where the groups are of other users. The base's "
        "row has the users of each group, mean over the seeds that have it; of a group of items, those who "
        f"have such an item to find.\n\nCommand: {command}\n"
    )


def _as_lines(table: pd.DataFrame) -> str:
    """Return the table as JSON lines, unrounded: pandas' own would make a small p a zero."""
    lines = table.astype(object).where(table.notna(), None).to_dict("records")
    return "".join(json.dumps(line) + "\n" for line in lines)


def as_markdown(study: Study, tables: Sequence[Any], said: Sequence[str]) -> str:
    """Return the summary as Markdown."""
    parts = [f"# {study.name}\n\n{study.about}"]
    parts += [
        f"## {title}\n\n{tabulate(rows, head, 'github', disable_numparse=True)}"
        for title, head, rows in tables
    ]
    return "\n\n".join([*parts, *said]) + "\n"


def as_html(study: Study, tables: Sequence[Any], said: Sequence[str]) -> str:
    """Return the summary as a page that needs no other file."""
    parts = [(title, table_of(head, rows)) for title, head, rows in tables]
    return page(study.name, study.about, [*parts, explained(said)])


def explained(said: Sequence[str]) -> tuple[str, str]:
    """Return the notes as the last part of a page."""
    return "How to read it", "".join(f"<p>{html.escape(line)}</p>" for line in said)
