"""Rows and summary of a study whose result files are written by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from recbole_llminit.dataset.places import SHIPPED
from recbole_llminit.evaluation.statistics import holm
from recbole_llminit.experiment.grid import cells
from recbole_llminit.experiment.rows import read_rows, refuse_mixed, row_of, write_rows
from recbole_llminit.experiment.study import Study
from recbole_llminit.experiment.summary import _p, compare, write_summary
from recbole_llminit.run.diagnostics import save_users
from recbole_llminit.utils.errors import UserError

STUDY = Study.of(
    {
        "about": "What <it> is for.",
        "datasets": ["tastes"],
        "models": ["BPR"],
        "settings": {"host": {}, "var": {"llm_selection": "var"}, "svd": {"llm_selection": "svd"}},
        "protocols": ["paper"],
        "seeds": [1, 2, 3],
        "base": "host",
        "metrics": ["NDCG@10"],
    },
    Path("mine.yaml"),
)
VALUES = {"host": [0.10, 0.12, 0.11], "var": [0.13, 0.14, 0.15], "svd": [0.11, 0.11, 0.12]}


def result(model: str, value: float, **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "dataset": "tastes",
        "test": {"ndcg@10": round(value, 4)},
        "seconds": {"total": 2.0, "train": 1.0},
        "best_epoch": 3,
        "epochs": 5,
        "parameters": 1234567,
        "peak_memory_bytes": 10,
        "counts": {"users": 9, "items": 8, "interactions": 72},
        "data": None,
        "vectors": "ab" * 32 if model != "BPR" else None,
        "versions": {"recbole": "1.2.1"},
        "curve": {"valid": [0.1, 0.2]},
        **more,
    }


def rows(runs: Path, users: bool = False) -> list[dict[str, Any]]:
    """Write a result file for each cell, and return the rows."""
    runs.mkdir(parents=True)
    written = []
    for cell in cells(STUDY, Path("data")):
        value = VALUES[cell.setting][cell.seed - 1]
        file = runs / f"{cell.run.id}.json"
        file.write_text(json.dumps(result(cell.run.model, value)))
        if users:
            each = [value - 0.1 * n for n in range(4)]
            save_users(pd.DataFrame({"user": list("abcd"), "ndcg@10": each}), file)
        written.append(row_of(cell, file))
    return written


def test_comparison_against_scipy() -> None:
    table = compare(STUDY, pd.DataFrame(rows(Path("s/runs"))), Path("s/runs")).set_index("setting")
    assert table.loc["var", "NDCG@10"] == pytest.approx(0.14)
    assert table.loc["host", "NDCG@10 half"] == pytest.approx(stats.t.ppf(0.975, 2) * 0.01 / 3**0.5)
    assert table.loc["var", "NDCG@10 gain"] == pytest.approx(100 * (0.14 - 0.11) / 0.11)
    raw = [stats.ttest_rel(VALUES[name], VALUES["host"]).pvalue for name in ("var", "svd")]
    assert table.loc[["var", "svd"], "NDCG@10 p"].tolist() == pytest.approx(holm(raw).tolist())
    assert table.loc["host", ["NDCG@10 gain", "NDCG@10 p", "NDCG@10 p users"]].isna().all()
    assert table["NDCG@10 p users"].isna().all()  # no users were stored


def test_users_are_paired_by_name_over_seeds() -> None:
    """Each user's mean is .03 above the baseline's, user a's .04 (by seed 2); rows are in another order."""
    written = rows(Path("s/runs"), users=True)
    for row in written:
        if row["setting"] == "var":
            file = Path("s/runs") / f"{row['run']}.users.parquet"
            users = pd.read_parquet(file).iloc[::-1]
            users.loc[users["user"] == "a", "ndcg@10"] += 0.03 if row["seed"] == 2 else 0
            users.to_parquet(file)
    table = compare(STUDY, pd.DataFrame(written), Path("s/runs")).set_index("setting")
    raw = stats.ttest_1samp([0.04, 0.03, 0.03, 0.03], 0).pvalue
    host = [0.11 - 0.1 * n for n in range(4)]
    svd = [sum(VALUES["svd"]) / 3 - 0.1 * n for n in range(4)]
    other = stats.ttest_rel(svd, host).pvalue
    assert table.loc["var", "NDCG@10 p users"] == pytest.approx(holm([raw, other])[0], rel=1e-6)


def test_every_model_and_protocol_has_its_own_base_and_holm_is_over_a_table() -> None:
    made = rows(Path("s/runs"))
    places = {("A", "masked"): 0.0, ("B", "masked"): 0.2, ("A", "paper"): 0.4, ("B", "paper"): 0.6}
    some = [
        row | {"model": model, "protocol": protocol, "ndcg@10": row["ndcg@10"] + more}
        for (model, protocol), more in places.items()
        for row in made
    ]
    table = compare(STUDY, pd.DataFrame(some), Path("s/runs")).set_index(["model", "protocol", "setting"])
    for (model, protocol), more in places.items():
        gain = table.loc[(model, protocol, "var"), "NDCG@10 gain"]
        assert gain == pytest.approx(100 * 0.03 / (0.11 + more))
    var, svd = (stats.ttest_rel(VALUES[name], VALUES["host"]).pvalue for name in ("var", "svd"))
    expected = holm([var, svd, var, svd])  # the comparisons of both models of a protocol
    found = table.loc[("A", "paper", "var"), "NDCG@10 p"], table.loc[("B", "paper", "svd"), "NDCG@10 p"]
    assert found == pytest.approx((expected[0], expected[3]), rel=1e-6)


def test_numbers_as_they_are_shown() -> None:
    values = (0.0009, 0.001, 0.005, 0.05, float("nan"))
    assert list(map(_p, values)) == ["<.001", "0.001", "0.005", "0.050", ""]


def test_only_seeds_that_both_have_are_compared() -> None:
    some = [row for row in rows(Path("s/runs")) if (row["setting"], row["seed"]) != ("host", 3)]
    table = compare(STUDY, pd.DataFrame(some), Path("s/runs")).set_index("setting")
    assert table.loc["host", "seeds"] == 2
    assert table.loc["var", "NDCG@10"] == pytest.approx(0.14)  # the mean of three seeds
    assert table.loc["var", "NDCG@10 gain"] == pytest.approx(100 * (0.135 - 0.11) / 0.11)  # over two seeds


def test_summary_files() -> None:
    folder = Path("s/mine")
    made = rows(Path("s/runs"))
    assert (made[0]["valid"], made[0]["seconds"], made[0]["train_seconds"]) == (0.2, 2.0, 1.0)
    write_rows(made, folder)
    write_summary(STUDY, folder, "recbole-llminit experiment mine.yaml", {})
    text = (folder / "summary.md").read_text()
    assert "## tastes, unmasked" in text
    var = next(line for line in text.splitlines() if line.startswith("| BPR") and "| var" in line)
    assert [cell.strip() for cell in var.split("|")[1:7]] == [
        "BPR",
        "var",
        "3",
        "0.1400 ± 0.0248",
        "+27.3 ± 22.6",  # differences .03, .02, .04: half is 4.303 * .01 / sqrt(3), over .11
        "0.070",  # t = 3 sqrt(3) with 2 degrees of freedom has p = .035, doubled by Holm
    ]
    assert [cell.strip() for cell in var.split("|")[-4:-1]] == ["3", "2", "1,234,567"]
    assert "Seeds: 1, 2, 3." in text
    lines = [json.loads(line) for line in (folder / "comparisons.jsonl").read_text().splitlines()]
    table = compare(STUDY, read_rows(folder), Path("s/runs"))
    assert [line["NDCG@10 p"] for line in lines] == [None, *table["NDCG@10 p"][1:]]  # unrounded
    assert {"NDCG@10 p users", "NDCG@10 gain", "NDCG@10 half"} <= set(lines[0])
    assert lines[1]["NDCG@10 gain half"] == pytest.approx(22.583, rel=1e-4)
    assert (
        "Nothing to show: no setting and 'host' have NDCG@10 by group" in (folder / "groups.md").read_text()
    )
    assert "tastes: abababababab" in text
    assert text.rstrip().endswith("Command: recbole-llminit experiment mine.yaml")
    assert "What <it> is for." in text
    assert read_rows(folder)["ndcg@10"].tolist() == [row["ndcg@10"] for row in made]
    assert {path.name for path in folder.iterdir()} == {
        "rows.jsonl",
        "summary.md",
        "groups.md",
        "comparisons.jsonl",
        "notes.txt",
    }


# The baseline's metric in each group, by seed. Seed 3 has no group "50+"; in group "0" the metric is 0.
GROUPS = {"1-4": [0.10, 0.12, 0.11], "10-19": [0.20, 0.20, 0.20], "50+": [0.2, 0.1], "0": [0.0, 0.0, 0.0]}


def with_groups(file: Path, values: dict[str, float], users: int = 2000) -> None:
    """Store user groups in a result file."""
    groups = [
        {"by": "user activity", "group": name, "users": users, "metrics": {"ndcg@10": value}}
        for name, value in values.items()
    ]
    file.write_text(json.dumps({**json.loads(file.read_text()), "groups": groups}))


def group_cells(folder: Path) -> list[list[str]]:
    """Return the cells of the tables in groups.md."""
    lines = (folder / "groups.md").read_text().splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]


def test_gains_of_groups() -> None:
    """The expected gains are computed by hand.

    In 1-4, var is .03, .02 and .04 above a mean of .11; in 10-19 it has half of .2 for each seed; in 50+ it
    is .1 above a mean of .15 for two seeds. The half width in 1-4 is 4.302653 * .01 / sqrt(3) over .11; where
    the gain is equal for all seeds, the half width is 0.
    """
    made = rows(Path("s/runs"))
    above = {"1-4": [0.03, 0.02, 0.04], "10-19": [-0.1] * 3, "50+": [0.1, 0.1], "0": [0.01, 0.02, 0.03]}
    for row in made:
        seed, ours = row["seed"] - 1, row["setting"] == "var"
        values = {
            name: host[seed] + (above[name][seed] if ours else 0)
            for name, host in GROUPS.items()
            if seed < len(host)
        }
        other = row["setting"] == "svd"  # as if trained on other data: its groups have other users
        with_groups(Path("s/runs") / f"{row['run']}.json", values, 900 if other else 2000)
    write_rows(made, Path("s/mine"))
    write_summary(STUDY, Path("s/mine"), "recbole-llminit experiment mine.yaml", {})
    text = (Path("s/mine") / "groups.md").read_text()
    assert "## Gain by user activity (training interactions of the user): tastes, unmasked" in text
    assert "Gain by item popularity" not in text  # none is stored
    head, _, host, var = group_cells(Path("s/mine"))
    assert head == ["backbone", "setting", "seeds", "0", "1-4", "10-19", "50+"]
    users = "2,000 users"
    assert host == ["BPR", "host", "3", users, users, users, f"{users} (2 seeds)"]
    assert var[:6] == ["BPR", "var", "3", "0 to 0.0200", "+27.3 ± 22.6", "-50.0 ± 0.0"]
    assert var[6] == "+66.7 ± 0.0 (2 seeds)"
    assert text.rstrip().endswith("Command: recbole-llminit experiment mine.yaml")


def test_groups_are_shown_in_a_metric_of_whole_lists() -> None:
    made = rows(Path("s/runs"))
    for row in made:
        warm = {"by": "items", "group": "warm", "users": 4, "metrics": {"ndcg@10": row["ndcg@10"]}}
        file = Path("s/runs") / f"{row['run']}.json"
        with_groups(file, {"1-4": row["ndcg@10"]})
        result = json.loads(file.read_text())
        file.write_text(json.dumps({**result, "groups": [*result["groups"], warm]}))
    study = replace(STUDY, metrics=["NDCG@10", "NDCG@10 warm"])
    again = [row_of(cell, Path("s/runs") / f"{cell.run.id}.json") for cell in cells(study, Path("data"))]
    write_rows(again, Path("s/mine"))
    write_summary(study, Path("s/mine"), "recbole-llminit experiment mine.yaml", {})
    assert "# mine, NDCG@10 by group" in (Path("s/mine") / "groups.md").read_text()
    assert group_cells(Path("s/mine"))[3] == ["BPR", "var", "3", "+27.3 ± 22.6"]


def test_a_metric_that_a_seed_lacks_is_compared_over_the_others() -> None:
    made = rows(Path("s/runs"))
    for row in made:
        row["ndcg@10"] = float("nan") if row["seed"] == 3 else row["ndcg@10"]
    table = compare(STUDY, pd.DataFrame(made), Path("s/runs")).set_index("setting")
    assert table.loc["var", "NDCG@10 gain"] == pytest.approx(100 * (0.135 - 0.11) / 0.11)
    assert table.loc["var", "NDCG@10 half"] == pytest.approx(stats.t.ppf(0.975, 1) * 0.005)
    p_values = [stats.ttest_rel(VALUES[name][:2], VALUES["host"][:2]).pvalue for name in ("var", "svd")]
    assert table.loc[["var", "svd"], "NDCG@10 p"].tolist() == pytest.approx(holm(p_values), nan_ok=True)


def test_warm_and_cold_items_are_metrics_too() -> None:
    """They are compared over seeds, but not over users, whose files hold only metrics over all items."""
    made = rows(Path("s/runs"), users=True)
    for row in made:
        file = Path("s/runs") / f"{row['run']}.json"
        groups = [
            {"by": "items", "group": name, "users": 4, "metrics": {"ndcg@10": share * row["ndcg@10"]}}
            for name, share in (("warm", 1.5), ("cold", 0.5))
        ]
        groups += [
            {"by": by, "group": "1-4", "users": 4, "metrics": {"ndcg@10": 9.0}}
            for by in ("user activity", "item popularity")
        ]
        file.write_text(json.dumps({**json.loads(file.read_text()), "groups": groups}))
    study = replace(STUDY, metrics=["NDCG@10 cold", "NDCG@10"])
    again = [row_of(cell, Path("s/runs") / f"{cell.run.id}.json") for cell in cells(study, Path("data"))]
    assert not [name for name in again[0] if "1-4" in name]  # users and items would share a column
    table = compare(study, pd.DataFrame(again), Path("s/runs")).set_index("setting")
    assert table.loc["var", "NDCG@10 cold"] == pytest.approx(0.07)
    assert table.loc["var", "NDCG@10 cold gain"] == pytest.approx(table.loc["var", "NDCG@10 gain"])
    assert table["NDCG@10 cold p users"].isna().all()
    with pytest.raises(UserError, match="metric 'NDGC@10' is in no result of mine. Did you mean 'ndcg@10'"):
        compare(replace(study, metrics=["NDGC@10"]), pd.DataFrame(again), Path("s/runs"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interactions": 71}, "r1 and r5 were made from different data under the name 'tastes'"),
        ({"data": "cd" * 32}, "r1 and r5 were made from different data"),
        ({"vectors": "cd" * 32}, "r4 and r5 were made from different vectors"),
    ],
)
def test_results_of_other_data_are_refused(change: dict[str, Any], message: str) -> None:
    some = [row | {"run": f"r{n}"} for n, row in enumerate(rows(Path("s/runs")), start=1)]
    refuse_mixed(some, [], Path("data"))
    some[4] |= change
    with pytest.raises(UserError, match=message):
        refuse_mixed(some, [], Path("data"))
    some[4]["keys"] = '{"llm_embedding": "minilm"}'
    if "vectors" in change:
        refuse_mixed(some, [], Path("data"))  # another name may stand for other vectors


def test_what_is_varied_may_be_a_filter() -> None:
    few = [row | {"interactions": 9 * n, "n": str(n)} for n in (1, 2) for row in rows(Path(f"s{n}/runs"))]
    refuse_mixed(few, ["n"], Path("data"))
    with pytest.raises(UserError, match="different data"):
        refuse_mixed(few, [], Path("data"))


def test_results_of_data_that_are_no_more_are_refused() -> None:
    some = [row | {"data": '{"tastes.inter": "ab"}'} for row in rows(Path("s/runs"))]
    refuse_mixed(some, [], Path("data"))
    card = json.loads((SHIPPED / "beauty-mini/card.json").read_text()) | {"sha256": {"tastes.inter": "ab"}}
    file = Path("data/tastes/card.json")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(card))
    refuse_mixed(some, [], Path("data"))
    file.write_text(json.dumps(card | {"sha256": {"tastes.inter": "cd"}}))
    with pytest.raises(UserError, match="was made from other data than data/tastes holds now"):
        refuse_mixed(some, [], Path("data"))


def test_epochs_may_be_varied() -> None:
    """The column `epochs` then has the varied value instead of the number of epochs that were trained."""
    study = replace(STUDY, vary={"epochs": [1, 300]})
    values = []
    for cell in cells(study, Path("data")):
        Path("r.json").write_text(json.dumps(result(cell.run.model, VALUES[cell.setting][cell.seed - 1])))
        values.append(row_of(cell, Path("r.json")))
    table = compare(study, pd.DataFrame(values), Path("s/runs"))
    assert table["epochs"].tolist() == ["1", "1", "1", "300", "300", "300"]
    assert table["NDCG@10 gain"].notna().sum() == 4


def test_unrounded_metrics_win_and_wrong_rows_are_refused() -> None:
    cell = cells(STUDY, Path("data"))[0]
    groups = [{"by": "all", "group": "all", "users": 9, "metrics": {"ndcg@10": 0.123456789}}]
    Path("r.json").write_text(json.dumps(result("BPR", 0.1235, groups=groups)))
    assert row_of(cell, Path("r.json"))["ndcg@10"] == 0.123456789
    Path("r.json").write_text(json.dumps(result("SGCL", 0.1)))
    with pytest.raises(UserError, match=r"r.json is of SGCL on tastes, not of BPR on tastes"):
        row_of(cell, Path("r.json"))
    Path("r.json").write_text('{"half": ')
    with pytest.raises(UserError, match=r"r.json is not a result file"):
        row_of(cell, Path("r.json"))
    with pytest.raises(UserError, match=r"holds no rows.jsonl"):
        read_rows(Path("nowhere"))
