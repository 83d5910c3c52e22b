"""The runner, with a script in place of ``recbole-llminit`` that sleeps, fails or writes as its keys say."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from recbole_llminit.experiment import runner
from recbole_llminit.experiment.runner import Job, carry_out, workers
from recbole_llminit.utils.errors import UserError

PYTHON = sys.executable
STAND_IN = f"""#!{sys.executable}
import pathlib, sys, time, yaml
keys = yaml.safe_load(pathlib.Path("keys.yaml").read_text())
pathlib.Path("rubbish").write_text("x")
time.sleep(keys.get("sleep", 0))
if "fail" in keys:
    sys.exit("some words\\n" + keys["fail"])
result = pathlib.Path(keys["result_file"])
result.parent.mkdir(exist_ok=True)
with open(result, "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
"""


@pytest.fixture(autouse=True)
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "command"
    script.write_text(STAND_IN)
    script.chmod(0o755)
    monkeypatch.setattr(runner.sys, "executable", str(script))


def job(name: str, **keys: Any) -> Job:
    result = Path("out").resolve() / f"{name}.json"
    return Job(name, "run", ("--model=BPR",), {**keys, "result_file": str(result)}, result)


def test_jobs_are_done_once() -> None:
    jobs = [job("a"), job("b"), job("a")]
    assert carry_out(jobs, Path("x"), 2, quiet=True) == {}
    assert jobs[0].result.read_text() == "-m recbole_llminit.cli run --model=BPR --config_files=keys.yaml\n"
    assert carry_out(jobs, Path("x"), 1, quiet=True) == {}
    assert jobs[0].result.read_text().count("\n") == jobs[1].result.read_text().count("\n") == 1
    assert not list(Path("x").glob("work/*"))  # the processes' working folders are gone
    assert not list(Path("x").glob("logs/*"))


def test_a_result_of_another_machine_counts() -> None:
    there = job("a", fail="it ran after all")
    there.result.parent.mkdir()
    there.result.write_text("from elsewhere")
    assert carry_out([there], Path("x"), 1, quiet=True) == {}


def test_a_failure_is_told_and_stops_nobody() -> None:
    failed = carry_out([job("bad", fail="error: no such thing"), job("good")], Path("x"), 1, quiet=True)
    assert list(failed) == ["bad"]
    assert failed["bad"] == "error: no such thing (exit code 1, x/logs/bad.log)"
    assert job("good").result.is_file()
    assert not job("bad").result.is_file()
    assert [log.name for log in Path("x").glob("*/*")] == ["bad.log"]
    assert carry_out([job("bad")], Path("x"), 1, quiet=True) == {}  # without its fault it succeeds
    assert not list(Path("x").glob("*/*"))


TWO_STUDIES = """
import sys
from pathlib import Path
from recbole_llminit.experiment import runner
from tests.experiment.test_runner import job
runner.sys.executable, own = sys.argv[1:]
jobs = [job("shared", sleep=1), job(own)]
print(runner.carry_out(jobs, Path("x"), 1, quiet=True))
"""


def test_two_studies_may_do_the_same_job_at_once() -> None:
    Path("two.py").write_text(TWO_STUDIES)
    start = [PYTHON, "two.py", sys.executable]
    root = str(Path(__file__).parents[2])
    both = [
        subprocess.Popen([*start, own], env={**os.environ, "PYTHONPATH": root}, stdout=subprocess.PIPE)
        for own in ("a", "b")
    ]
    assert [study.communicate()[0] for study in both] == [b"{}\n", b"{}\n"]
    assert {file.stem for file in Path("out").iterdir()} == {"shared", "a", "b"}
    assert not list(Path("x").glob("*/*"))


def test_what_is_done_meanwhile_is_not_done_again() -> None:
    first, second = job("a", sleep=1), job("b", fail="it ran after all")
    study = threading.Thread(target=carry_out, args=([first, second], Path("x"), 1, True))
    study.start()
    while not Path("x/work").exists():
        time.sleep(0.01)
    Path("out").mkdir(exist_ok=True)
    second.result.write_text("from elsewhere")
    study.join()
    assert second.result.read_text() == "from elsewhere"
    assert not list(Path("x").glob("logs/*"))


def test_several_at_once() -> None:
    start = time.monotonic()
    assert carry_out([job(str(n), sleep=1) for n in range(4)], Path("x"), 4, quiet=True) == {}
    assert time.monotonic() - start < 3.5


def test_an_interruption_ends_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Ctrl-C, running jobs are ended, waiting jobs never start, and no partial result is left."""
    jobs = [job("quick"), *(job(f"slow{n}", sleep=60) for n in range(3))]

    def interrupted(futures: Any) -> Any:
        while not jobs[0].result.is_file() or len(psutil.Process().children()) < 2:
            time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_as_completed", interrupted)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        carry_out(jobs, Path("x"), 2, quiet=True)
    assert time.monotonic() - start < 30
    assert not [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert [path.name for path in Path("out").iterdir()] == ["quick.json"]


def test_threads_do_not_depend_on_the_number_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert runner._environment()["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert runner._environment()["OMP_NUM_THREADS"] == "4"


def test_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(runner, "_cores", lambda: 8)
    memory = psutil.virtual_memory()._replace(available=7 * 2**30)
    monkeypatch.setattr(runner.psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert workers("auto", 100) == 2  # by memory
    monkeypatch.setattr(runner.psutil, "virtual_memory", lambda: memory._replace(available=2**40))
    assert workers("auto", 100) == 4  # by cores
    assert workers("auto", 3) == 3
    assert workers("5", 100) == 5
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert workers("auto", 100) == 1
    with pytest.raises(UserError, match="--jobs 'many' must be auto or a number"):
        workers("many", 1)
