"""The programs of `benchmarks/` run and print what they promise; their numbers are not tested."""

from __future__ import annotations

import json
import re
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


@pytest.mark.thorough
def test_scale(tmp_path: Path) -> None:
    file = tmp_path / "scale.json"
    printed = program("scale", "--factors=1,2", "--steps=1", "--batches=1", f"--json={file}")
    one, two = json.loads(file.read_text())
    assert 1.5 < two["interactions"] / one["interactions"] < 2.5
    assert "from" in printed


def test_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra [bench] is not installed")
    places = {"dataset": "shop", "protocol": "masked", "model": "SGCL", "seeds": 3}
    lines = [
        {**places, "setting": name, "NDCG@10 gain": gain, "NDCG@10 gain half": half}
        for name, gain, half in (("host", None, None), ("var", 12.0, 4.0), ("shuffled", -3.0, None))
    ]
    for name in ("a=1", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "comparisons.jsonl").write_text("\n".join(map(json.dumps, lines)))
    pictures = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for picture in pictures:
        program("picture", str(tmp_path / "a=1"), f"{tmp_path / 'b'}=own rates", f"--output={picture}")
    text = pictures[0].read_text()
    assert text == pictures[1].read_text()
    rows = re.findall("<!-- (a=1|own rates|host|var|shuffled) -->", text)
    assert rows == ["a=1", "var", "shuffled", "own rates", "var", "shuffled"]
    with pytest.raises(AssertionError, match="two studies have the heading 'b'"):
        program("picture", str(tmp_path / "b"), f"{tmp_path / 'a=1'}", f"{tmp_path / 'b'}", "--output=c.svg")
    tmp_path = tmp_path / "b"
    (tmp_path / "comparisons.jsonl").write_text("\n".join(map(json.dumps, [*lines, lines[1]])))
    with pytest.raises(AssertionError, match="varies a key"):  # a dot has no single value then
        program("picture", str(tmp_path), f"--output={tmp_path / 'c.svg'}")
    assert not (tmp_path / "c.svg").exists()
