"""Compute what a setting gains over the baseline in each group of users or of target items.

Users and target items are grouped by their number of training interactions. A bucket such as ``5-9`` is one
of these groups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from tabulate import tabulate

from recbole_llminit.evaluation.statistics import compare_seeds
from recbole_llminit.report.entries import Entry, by_table
from recbole_llminit.report.table import shown_gain

GROUPS = {
    "user activity": "Gain by user activity (training interactions of the user)",
    "item popularity": "Gain by item popularity (training interactions of the target item)",
}


def group_values(entries: Sequence[Entry], by: str, metric: str) -> pd.DataFrame:
    """Return a metric for each backbone, setting, seed and bucket; empty if no result holds it."""
    rows = [
        {
            "backbone": entry.group,
            "setting": entry.setting,
            "is_base": entry.is_base,
            "seed": entry.seed,
            "bucket": row["group"],
            "users": row["users"],
            "value": row["metrics"][metric],
        }
        for entry in entries
        for row in entry.result.get("groups") or []
        if row["by"] == by and metric in row["metrics"]
    ]
    return pd.DataFrame(rows)


def group_gains(entries: Sequence[Entry], by: str, metric: str) -> pd.DataFrame:
    """Return what each setting gains over the baseline in each bucket, over the seeds that both have.

    A bucket with another number of users than the baseline's, as after training on other data, can't be
    compared and is left out.

    Args:
        entries: Entries of one dataset and protocol.
        by: ``user activity`` or ``item popularity``.
        metric: Such as ``ndcg@10``.

    Returns:
        One line for each backbone, setting and bucket, in order of the buckets, with ``is_base``,
        ``seeds`` (their number), ``users`` (mean over these seeds), and ``mean``, ``baseline``, ``gain``
        and ``half`` as in `Comparison`. The baseline has lines too, in which it is compared with itself.
    """
    values, lines = group_values(entries, by, metric), []
    if values.empty:
        return values
    keys = ["backbone", "setting", "is_base", "seed", "bucket"]
    values = values.groupby(keys, sort=False, as_index=False).mean()  # a seed that was run twice counts once
    for where, cell in values.groupby(["backbone", "setting", "is_base"], sort=False):
        base = values[(values["backbone"] == where[0]) & values["is_base"]]
        pairs = cell.merge(base, on=["seed", "bucket", "users"], suffixes=("", " of base"))
        for bucket in sorted(pairs["bucket"].unique(), key=_least):
            some = pairs[pairs["bucket"] == bucket].set_index("seed")
            found = compare_seeds(some["value"].to_dict(), some["value of base"].to_dict())
            line = dict(zip(keys, where, strict=False)) | {"bucket": bucket, "users": some["users"].mean()}
            lines.append(line | asdict(found) | {"seeds": len(found.seeds)})
    return pd.DataFrame(lines)


def _least(bucket: str) -> int:
    return int(re.split("[-+]", bucket)[0])


def groups_markdown(entries: Sequence[Entry], metric: str) -> str:
    """Return the gains in all groups as Markdown tables; empty if there are none.

    Args:
        entries: Entries of any datasets and protocols.
        metric: Such as ``ndcg@10``.
    """
    parts = []
    for where, some in by_table(entries):
        for by, title in GROUPS.items():
            lines = group_gains(some, by, metric)
            if not (lines.empty or lines["is_base"].all()):
                parts.append(f"## {title}: {where}\n\n{_table(lines)}")
    return "\n\n".join(parts)


def _table(lines: pd.DataFrame) -> str:
    """Return a table with one row for each backbone and setting, and one column for each bucket."""
    buckets = sorted(lines["bucket"].unique(), key=_least)
    rows = []
    for where, cell in lines.groupby(["backbone", "setting"], sort=False):
        seeds = cell["seeds"].max()
        by_bucket = {line["bucket"]: _cell(line, seeds) for line in cell.to_dict("records")}
        rows.append([*where, seeds, *(by_bucket.get(bucket, "") for bucket in buckets)])
    return tabulate(rows, ["backbone", "setting", "seeds", *buckets], "github", disable_numparse=True)


def _cell(line: Mapping[Any, Any], seeds: int) -> str:
    """Return a gain, or the number of users in the baseline's line; fewer seeds than `seeds` are named."""
    if line["is_base"]:
        text = f"{line['users']:,.0f} users"
    elif line["baseline"] == 0:
        text = f"0 to {line['mean']:.4f}"
    else:
        text = shown_gain(line["gain"], line["half"])
    return text if line["seeds"] == seeds else f"{text} ({line['seeds']} seeds)"
