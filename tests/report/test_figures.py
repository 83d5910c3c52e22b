"""Figures: the numbers that they show, against numbers computed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recbole_llminit.report import figures
from recbole_llminit.report.entries import Entry
from recbole_llminit.report.groups import group_gains


def entry(setting: str, seed: int, values: dict[str, float], **more: Any) -> Entry:
    groups = [
        {"by": "user activity", "group": name, "users": 5, "metrics": {"ndcg@10": value}}
        for name, value in values.items()
    ]
    result = {"groups": groups, **more}
    return Entry("shop", "masked", "SGCL", setting, seed, setting == "host", result, Path("r.json"))


ENTRIES = [
    entry("host", 1, {"0": 0.0, "1-4": 0.10, "5-9": 0.2}),
    entry("host", 2, {"0": 0.0, "1-4": 0.14, "5-9": 0.2}),
    entry("var", 1, {"0": 0.1, "1-4": 0.15, "5-9": 0.1}),
    entry("var", 2, {"0": 0.1, "1-4": 0.21, "5-9": 0.1}),
]


def traces(html: str) -> list[dict[str, Any]]:
    """Return what plotly was given to draw."""
    found = re.search(r"Plotly\.newPlot\(\s*\"[\w-]+\",\s*(\[.*?\}\])\s*,\s*\{\"", html, flags=re.DOTALL)
    assert found
    drawn: list[dict[str, Any]] = json.loads(found[1])
    return drawn


def test_gains_are_of_means_over_seeds() -> None:
    """(.15 + .21) / (.10 + .14) is 1.5; .1 / .2 is a half; over a baseline of 0 there is no gain."""
    (bars,) = traces(figures.gains(ENTRIES, "user activity", "ndcg@10"))
    assert bars["name"] == "var"
    assert dict(zip([x.strip() for x in bars["x"]], bars["y"], strict=True)) == {
        "0": None,
        "1-4": 50,
        "5-9": -50,
    }
    # differences .05 and .07: standard error .01, t(0.975; 1) = 12.7062, over a baseline of .12
    assert bars["error_y"]["array"] == [0, 105.9, 0]
    assert bars["error_y"]["width"] == 0  # nothing is drawn where there is no interval
    (alone,) = traces(figures.gains([ENTRIES[0], ENTRIES[2]], "user activity", "ndcg@10"))
    assert "array" not in alone.get("error_y", {})
    assert figures.gains(ENTRIES, "item popularity", "ndcg@10") == ""
    assert figures.gains(ENTRIES[:2], "user activity", "ndcg@10") == ""


def test_a_seed_that_was_run_twice_counts_once() -> None:
    """The mean of .10 and .12 is .11, that of .12 and .14 is .13; one seed gives no interval."""
    values = [("host", 0.10), ("host", 0.12), ("var", 0.12), ("var", 0.14)]
    lines = group_gains([entry(name, 1, {"1-4": v}) for name, v in values], "user activity", "ndcg@10")
    line = lines[~lines["is_base"]].iloc[0]
    assert line["gain"] == pytest.approx(100 * 2 / 11)
    assert (line["seeds"], np.isnan(line["half"])) == (1, True)


def test_buckets_stand_in_order_whichever_seed_has_them() -> None:
    first = {"5-9": 0.2, "10-19": 0.2, "50+": 0.2}
    some = [
        entry(name, seed, first if seed == 1 else {"0": 0.1, **first})
        for name in ("host", "var")
        for seed in (1, 2)
    ]
    (bars,) = traces(figures.gains(some, "user activity", "ndcg@10"))
    assert [x.strip() for x in bars["x"]] == ["0", "5-9", "10-19", "50+"]


def test_gains_are_over_the_seeds_that_both_have() -> None:
    """The setting var has only seed 1: its gain is .15 / .10, although the baseline's mean over both seeds is .12."""
    (bars,) = traces(figures.gains(ENTRIES[:3], "user activity", "ndcg@10"))
    assert dict(zip([x.strip() for x in bars["x"]], bars["y"], strict=True))["1-4"] == 50
    assert figures.gains([*ENTRIES[1:3]], "user activity", "ndcg@10") == ""  # no seed in common


def test_curves_and_spectra_are_of_the_first_seed() -> None:
    curve = {"metric": "ndcg@10", "epochs": [1, 3], "valid": [0.1, 0.2], "loss": []}
    table = {"item_embedding": {"singular_values": [4.0, 2.0, 1.0]}}
    some = [
        entry("host", 7, {}, curve=curve, tables=table),
        entry("host", 3, {}, curve=curve | {"valid": [0.3, 0.4]}),
    ]
    (line,) = traces(figures.curves(some))
    assert (line["x"], line["y"]) == ([1, 3], [0.3, 0.4])
    assert figures.spectra(some) == ""  # the first seed's result has no `tables`
    (line,) = traces(figures.spectra(some[:1]))
    assert (line["x"], line["y"]) == ([1, 2, 3], [1.0, 0.5, 0.25])


def test_a_sweep_is_in_order_of_the_number() -> None:
    table = pd.DataFrame(
        {
            "model": "SGCL",
            "setting": "var",
            "embedding_size": ["128", "16"],
            "NDCG@10": [0.3, 0.2],
            "NDCG@10 half": [0.01, np.nan],
        }
    )
    (line,) = traces(figures.sweep(table, "embedding_size", "NDCG@10"))
    assert (line["x"], line["y"], line["error_y"]["array"]) == ([16, 128], [0.2, 0.3], [0, 0.01])


def test_a_setting_has_one_colour_everywhere() -> None:
    curve = {"metric": "ndcg@10", "epochs": [0], "valid": [0.1], "loss": []}
    some = [
        Entry(
            e.dataset, e.protocol, e.group, e.setting, e.seed, e.is_base, e.result | {"curve": curve}, e.file
        )
        for e in ENTRIES
    ]
    lines = {trace["name"]: trace["line"]["color"] for trace in traces(figures.curves(some))}
    (bars,) = traces(figures.gains(some, "user activity", "ndcg@10"))
    assert lines["host"] != lines["var"] == bars["marker"]["color"]


def test_the_script_is_plotlys_own() -> None:
    assert len(figures.script()) > 10**6
