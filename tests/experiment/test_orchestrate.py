"""Whole studies on a world where text helps: the order of settings, interruption, repetition, searches."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

from recbole_llminit import cli
from recbole_llminit.experiment import orchestrate
from recbole_llminit.experiment.grid import cells, with_best
from recbole_llminit.experiment.keys import carried_keys
from recbole_llminit.experiment.rows import read_rows
from recbole_llminit.experiment.study import Study
from tests.conftest import World, tastes

BASE: dict[str, Any] = {
    "datasets": ["tastes"],
    "models": ["BPR"],
    "settings": {
        "host": {},
        "var": {"llm_selection": "var"},
        "shuffled": {"llm_selection": "var", "llm_shuffle_items": True},
    },
    "protocols": ["masked"],
    "seeds": [1, 2],
    "base": "host",
    "metrics": ["NDCG@5"],
    "keys": {
        "epochs": 30,
        "learning_rate": 0.01,
        "embedding_size": 8,
        "train_batch_size": 256,
        "topk": [1, 5],
        "valid_metric": "NDCG@5",
        "use_gpu": False,
    },
}


@pytest.fixture
def planted(tmp_path: Path) -> World:
    return tastes(tmp_path / "data", users=120, items=60)


def written(name: str, **changes: Any) -> str:
    Path(name).write_text(yaml.safe_dump({**BASE, **changes}))
    return name


def command(study: str, world: World, *more: str) -> list[str]:
    return ["experiment", study, f"--data-path={world.root}", "--jobs=2", *more]


@pytest.mark.slow
def test_a_killed_study_goes_on_and_finds_the_planted_order(planted: World) -> None:
    argv = command(written("planted.yaml"), planted, "--out=out")
    killed = subprocess.Popen([sys.executable, "-m", "recbole_llminit.cli", *argv, "--quiet"])
    runs = Path("out/runs")
    while len(list(runs.glob("*-*.json"))) < 2:
        assert killed.poll() is None
        time.sleep(0.1)
    killed.kill()
    killed.wait()
    done = {file: file.stat().st_mtime_ns for file in runs.glob("*.json")}
    assert 2 <= len(done) < 6
    for file in done:
        assert json.loads(file.read_text())["test"]
    assert cli.main([*argv, "--quiet", "--summarise"]) == 0
    assert len(read_rows(Path("out/planted"))) == len(done) == len(list(runs.glob("*.json")))
    assert cli.main([*argv, "--quiet"]) == 0
    assert len(list(runs.glob("*.json"))) == 6
    assert all(file.stat().st_mtime_ns == moment for file, moment in done.items())
    rows = read_rows(Path("out/planted"))
    mean = rows.groupby("setting")["ndcg@5"].mean()
    assert mean["var"] > 1.5 * mean["host"] > 1.5 * mean["shuffled"]
    assert set(rows["trained"]) == {"BPR", "LLMInitBPR"}
    repeated(planted, rows)


def repeated(world: World, rows: pd.DataFrame) -> None:
    """Check that the same runs in another folder, one at a time, give the same numbers."""
    argv = ["experiment", "planted.yaml", f"--data-path={world.root}", "--out=again", "--jobs=1", "--quiet"]
    assert cli.main([*argv, "--seeds", "2", "--settings", "var"]) == 0
    again = read_rows(Path("again/planted")).set_index("run")
    first = rows.set_index("run").loc[again.index]
    figures = [name for name in again if "@" in name] + ["valid", "best_epoch", "epochs", "parameters"]
    figures += ["effective_rank_item_embedding", "effective_rank_user_embedding", "keys", "vectors"]
    pd.testing.assert_frame_equal(again[figures], first[figures], check_exact=True)


@pytest.mark.slow
def test_a_search_by_validation_decides_the_runs(planted: World) -> None:
    pytest.importorskip("hyperopt")
    space = {"BPR": {"learning_rate": [0.01, 0.0000001], "shuffle": [True]}}
    study = written("tuned.yaml", tune=space, seeds=[1], settings={"host": {}})
    assert cli.main(command(study, planted, "--out=out", "--quiet", "--epochs=8")) == 0
    (search,) = Path("out/searches").glob("*.json")
    found = json.loads(search.read_text())
    assert found["best"] == {"learning_rate": 0.01, "shuffle": True}
    assert len(found["trials"]) == 2
    (row,) = read_rows(Path("out/tuned")).to_dict("records")
    assert json.loads(row["keys"])["learning_rate"] == 0.01
    assert (
        'Best of tastes, BPR, host, masked: {"learning_rate": 0.01, "shuffle": true}'
        in Path("out/tuned/summary.md").read_text()
    )


@pytest.mark.slow
def test_a_terminated_study_leaves_no_process_behind(planted: World) -> None:
    argv = command(
        written("planted.yaml"), planted, "--out=out", "--quiet", "--epochs=100000", "--stopping_step=100000"
    )
    study = subprocess.Popen([sys.executable, "-m", "recbole_llminit.cli", *argv])
    children: list[psutil.Process] = []
    try:
        while len(children) < 2:
            assert study.poll() is None
            time.sleep(0.1)
            children = psutil.Process(study.pid).children()
        study.terminate()
        assert study.wait(60) == 130
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive
        assert not list(Path("out").glob("runs/*"))
    finally:
        for process in (study, *children):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def test_what_a_setting_names_is_not_searched(planted: World) -> None:
    space = {"BPR": {"learning_rate": [0.1, 0.2, 0.3], "reg_weight": [0.1, 0.2]}}
    settings = {"host": {}, "slow": {"learning_rate": 0.001}, "fixed": {"learning_rate": 1, "reg_weight": 1}}
    study = Study.of({**BASE, "tune": space, "settings": settings}, Path("s.yaml"))
    table = cells(study, planted.root)
    jobs = orchestrate._searches(study, table, Path("out"), planted.root)
    found = {search[2]: job for search, job in jobs.items()}
    assert found["host"].files["space.test"].split() == (
        ["learning_rate", "choice", "[0.1,", "0.2,", "0.3]", "reg_weight", "choice", "[0.1,", "0.2]"]
    )
    assert "--early_stop=6" in found["host"].flags  # no search ends before it has seen the whole grid
    assert found["slow"].files["space.test"] == "reg_weight choice [0.1, 0.2]\n"
    assert "fixed" not in found


def test_cells_whose_search_failed_are_left_out(planted: World) -> None:
    """They would be trained with another learning rate than the one that the study says they have."""
    settings = {"host": {}, "var": {"llm_selection": "var"}, "fixed": {"learning_rate": 1}}
    space = {"BPR": {"learning_rate": [0.1]}}
    study = Study.of({**BASE, "models": ["BPR"], "settings": settings, "tune": space}, Path("s.yaml"))
    table = cells(study, planted.root)
    searches = orchestrate._searches(study, table, Path("out"), planted.root)
    fixed = [cell for cell in table if cell.setting == "fixed"]
    assert orchestrate._tuned(table, searches) == fixed
    done = next(job for search, job in searches.items() if search[2] == "var")
    done.result.parent.mkdir(parents=True)
    done.result.write_text('{"best": {"learning_rate": 0.1}}')
    best = [with_best(cell, {"learning_rate": 0.1}) for cell in table if cell.setting == "var"]
    assert orchestrate._tuned(table, searches) == [*best, *fixed]


def test_paths_hold_in_a_folder_of_its_own(planted: World) -> None:
    """Paths of files and folders become absolute, `candidates_file` even before it exists; names stay."""
    Path("sasrec").mkdir()
    Path("masked").mkdir()
    keys = {"candidates_file": "c.jsonl", "allmrec_backbone": "sasrec", "allmrec_text_encoder": "org/model"}
    study = Study.of({**BASE, "models": ["ALLMRec"], "keys": {**keys, "save_users": False}}, Path("s.yaml"))
    carried = carried_keys(cells(study, planted.root)[0].run, planted.root)
    here = Path.cwd()
    assert carried["candidates_file"] == str(here / "c.jsonl")
    assert carried["allmrec_backbone"] == str(here / "sasrec")
    assert (carried["allmrec_text_encoder"], carried["protocol"]) == ("org/model", "masked")
    assert (carried["save_users"], carried["group_metrics"]) == (False, True)  # the study's keys win


@pytest.mark.parametrize(
    ("mode", "ranks_all"),
    [
        ("full", True),
        ("uni19", False),
        ({"valid": "uni19", "test": "full"}, True),
        ({"test": "pop9"}, False),
        ({"valid": "uni19"}, False),
    ],
)
def test_a_sampled_evaluation_is_not_asked_for_what_ranks_all(
    mode: Any, ranks_all: bool, planted: World
) -> None:
    Path("p.yaml").write_text(yaml.safe_dump({"eval_args": {"mode": mode}}))
    for changes in ({"keys": {"eval_args": {"mode": mode}}}, {"protocols": ["p.yaml"]}):
        study = Study.of({**BASE, **changes}, Path("s.yaml"))
        carried = carried_keys(cells(study, planted.root)[0].run, planted.root)
        assert ("group_metrics" in carried, "save_users" in carried) == (ranks_all, ranks_all)
        assert carried["table_statistics"] is True


def test_dry_run_lists_and_runs_nothing(planted: World, capsys: pytest.CaptureFixture[str]) -> None:
    study = written("planted.yaml", tune={"SGCL": {"learning_rate": [0.1]}})
    assert cli.main(command(study, planted, "--dry-run")) == 0
    out = capsys.readouterr().out
    assert out.count("to do  run") == 6
    assert "6 jobs, 0 done, 6 to do\n" in out
    assert not Path("saved").exists()


def test_nothing_to_summarise(planted: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(command(written("s.yaml"), planted, "--summarise")) == 2
    assert "holds no result of study s; train it without --summarise" in capsys.readouterr().err
    assert not Path("saved").exists()


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ({"models": ["BRP"]}, [], "unknown model 'BRP'. Did you mean"),
        ({"datasets": ["tates"]}, [], "unknown dataset 'tates'"),
        ({"settings": {"host": {}, "v": {"llm_selection": "vra"}}}, [], "llm_selection 'vra'"),
        ({"protocols": ["maskd"]}, [], "protocol 'maskd'"),
        ({}, ["--jobs=0"], "--jobs '0'"),
        ({}, ["--seed=3"], "--seed is the study's; use --seeds"),
        ({}, ["--nproc=2"], "'--nproc=2' is a flag of run"),
        ({"keys": {"model": "SGCL"}}, [], "'model' can only stand in a setting"),
        ({}, ["--topk=[a"], "--topk: '[a' is not a YAML value"),
        ({"tune": {"BPR": {"learning_rate": 0.1}}}, [], "tune: BPR's learning_rate '0.1' must be a list"),
    ],
)
def test_wrong_studies_are_refused_before_anything_runs(
    changes: dict[str, Any],
    more: list[str],
    message: str,
    planted: World,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(command(written("s.yaml", **changes), planted, *more)) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in line
    assert not Path("saved/experiment").exists()


def test_a_model_that_is_not_there_may_be_left_out(
    planted: World, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"host": {}, "other": {"model": "NoSuchModel"}}
    study = written("s.yaml", settings=settings, optional=["other"])
    assert cli.main(command(study, planted, "--dry-run")) == 0
    out = capsys.readouterr().out
    assert "left out, no such model here: other" in out
    assert "2 jobs" in out
