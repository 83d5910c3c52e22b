"""Groups of users and of items to be found: their metrics, and what a setting gains in each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from recbole_llminit.evaluation.statistics import gain, gain_half
from recbole_llminit.report.entries import Entry
from recbole_llminit.report.table import label, shown_gain

GROUPS = {
    "user activity": "Gain by user activity (training interactions of the user)",
    "item popularity": "Gain by item popularity (training interactions of the item to be found)",
}


def group_values(entries: Sequence[Entry], by: str, metric: str) -> pd.DataFrame:
    """Return a metric of each backbone, setting, seed and bucket; empty if none is stored."""
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


def bucket_means(values: pd.DataFrame) -> Any:
    """Return the mean of each bucket over seeds, of values as `group_values` gives them."""
    return values.groupby("bucket", sort=False)["value"].mean()


def group_gains(entries: Sequence[Entry], by: str, metric: str) -> pd.DataFrame:
    """Return what each setting gains over the base in each bucket, over the seeds that both have.

    Args:
        entries: Entries of one dataset and protocol.
        by: ``user activity`` or ``item popularity``.
        metric: Such as ``ndcg@10``.

    Returns:
        One line for each backbone, setting and bucket, by the bucket's least count: ``users`` (mean over
        seeds), ``gain`` (percent) and ``half`` (of its 95 % interval, as `gain_half` has it).
    """
    values, lines = group_values(entries, by, metric), []
    if values.empty:
        return values
    for where, cell in values.groupby(["backbone", "setting", "is_base"], sort=False):
        backbone, setting, is_base = where
        base = values[(values["backbone"] == backbone) & values["is_base"]]
        pairs = cell.merge(base, on=["seed", "bucket"], suffixes=("", " of base"))
        for bucket in [] if is_base else sorted(pairs["bucket"].unique(), key=_least):
            some = pairs[pairs["bucket"] == bucket]
            ours, theirs = some["value"].to_numpy(), some["value of base"].to_numpy()
            lines.append(
                {
                    "backbone": backbone,
                    "setting": setting,
                    "bucket": bucket,
                    "users": some["users"].mean(),
                    "gain": gain(ours, theirs),
                    "half": gain_half(ours, theirs),
                }
            )
    return pd.DataFrame(lines)


def _least(bucket: str) -> int:
    return int(re.split("[-+]", bucket)[0])


def groups_markdown(entries: Sequence[Entry], metric: str) -> str:
    """Return the gains of all groups as Markdown tables; nothing where no groups are stored.

    Args:
        entries: Entries, of any datasets and protocols.
        metric: Such as ``ndcg@10``.
    """
    parts = []
    for dataset, protocol in dict.fromkeys(entry.place[:2] for entry in entries):
        some = [entry for entry in entries if entry.place[:2] == (dataset, protocol)]
        for by, title in GROUPS.items():
            table = group_gains(some, by, metric)
            if not table.empty:
                parts.append(f"## {title}: {dataset}, {label(protocol)}\n\n{_table(table)}")
    return "\n\n".join(parts)


def _table(lines: pd.DataFrame) -> str:
    """Return one row for each backbone and setting, one column for each bucket."""
    users = lines.groupby("bucket")["users"].mean()
    buckets = sorted(users.index, key=_least)
    rows = []
    for where, cell in lines.groupby(["backbone", "setting"], sort=False):
        by_bucket = cell.set_index("bucket")
        there = [by_bucket.loc[name] if name in by_bucket.index else None for name in buckets]
        rows.append(
            [*where, *("" if line is None else shown_gain(line["gain"], line["half"]) for line in there)]
        )
    head = ["backbone", "setting", *(f"{name} ({users[name]:,.0f} users)" for name in buckets)]
    return tabulate(rows, head, "github", disable_numparse=True)
