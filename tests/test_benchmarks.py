"""The programs of `benchmarks/` run and print what they promise; their numbers are not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow  # processes that train


def program(name: str, *flags: str) -> str:
    """Run a benchmark and return what it printed."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_speed(tmp_path: Path) -> None:
    file = tmp_path / "speed.json"
    flags = ["--dataset=beauty-mini", "--models=LightGCN", "--rounds=1", "--steps=1", f"--json={file}"]
    assert "evaluate_tuned" in program("speed", *flags)
    rows = json.loads(file.read_text())
    phases = ["graph", "start_up", "train_epoch", "evaluate_default", "evaluate_tuned", "load_vectors"]
    assert [row["phase"] for row in rows] == [*phases, "peak_memory"]
    for row in rows:
        assert (row["model"], row["device"], row["rounds"]) == ("LightGCN", "cpu", 1)
        assert row["ratio_min"] == row["ratio_median"] == row["ratio_max"] > 0


def test_scale(tmp_path: Path) -> None:
    file = tmp_path / "scale.json"
    printed = program("scale", "--factors=1,2", "--steps=1", "--batches=1", f"--json={file}")
    one, two = json.loads(file.read_text())
    assert 1.5 < two["interactions"] / one["interactions"] < 2.5
    assert "from" in printed
