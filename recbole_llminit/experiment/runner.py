"""Carry out jobs, several at once, each in a separate process; jobs that are done are not run again.

A job is done when its result file exists. Result files appear whole or not at all. Therefore a study that was
stopped goes on where it stopped, and results from another machine count once they lie in the folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml
from tqdm import tqdm

import recbole_llminit
from recbole_llminit.utils.errors import UserError

_MEMORY = 3 * 2**30  # bytes reserved for a run; one with 4,905 users and 2,420 items took 0.6 * 2**30


@dataclass(frozen=True)
class Job:
    """A ``recbole-llminit`` command whose outcome is one result file."""

    name: str  # used in file names and messages
    verb: str  # `run` or `tune`
    flags: tuple[str, ...]  # arguments of the verb
    keys: dict[str, Any]  # config keys, written to a property file for the process
    result: Path  # the job is done when this file exists
    files: dict[str, str] = field(default_factory=dict)  # other files in the process's folder: name -> text


def workers(jobs: str, wanted: int) -> int:
    """Return how many jobs to run at once.

    Args:
        jobs: A number, or ``auto`` for as many as cores and free memory allow, but one if there is a GPU.
        wanted: How many jobs are to be done.

    Raises:
        UserError: If `jobs` is neither ``auto`` nor a number from 1 on.
    """
    if jobs.isdecimal() and int(jobs) > 0:
        return min(int(jobs), max(1, wanted))
    if jobs != "auto":
        raise UserError(f"--jobs '{jobs}' must be auto or a number from 1 on")
    import torch

    if torch.cuda.is_available():
        return 1
    room = psutil.virtual_memory().available // _MEMORY
    return max(1, min(_cores() // _threads(), int(room), wanted))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads() -> int:
    """Return the number of threads of a run: `OMP_NUM_THREADS` if it is set, otherwise 1.

    Floating-point sums depend on how many threads share them, so this number must not depend on how many
    jobs run at once.
    """
    given = os.environ.get("OMP_NUM_THREADS", "1")
    return int(given) if given.isdecimal() and int(given) else 1


def carry_out(jobs: Sequence[Job], folder: Path, at_once: int, quiet: bool = False) -> dict[str, str]:
    """Run the jobs that are not done, and return the messages of those that failed, by the job's name.

    Args:
        jobs: The jobs; of several with the same result file, one is run.
        folder: Folder for the processes' working folders and for the logs of jobs that fail.
        at_once: How many to run at the same time.
        quiet: Show no progress bar.
    """
    open_jobs = {job.result: job for job in jobs if not job.result.is_file()}
    children = _Children()
    failed: dict[str, str] = {}
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(open_jobs), unit="run", disable=quiet)
    pool = ThreadPoolExecutor(at_once)
    try:
        futures = {pool.submit(_carry_out, job, folder, children): job for job in open_jobs.values()}
        for future in _as_completed(set(futures)):
            job, message = futures[future], future.result()
            if message is not None:
                failed[job.name] = message
            bar.set_postfix_str(job.name + (" failed" if message else ""))
            bar.update()
    finally:
        children.stop()
        pool.shutdown(cancel_futures=True)
        bar.close()
    return failed


def _as_completed(waiting: set[Future[str | None]]) -> Iterator[Future[str | None]]:
    """Yield futures as they end, and stop waiting for a moment once a second.

    A signal that arrives just before the main thread starts to wait is only handled when the wait ends.
    """
    while waiting:
        ended, waiting = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
        yield from ended


class _Children:
    """The running processes, kept so that all of them can be ended when the study is interrupted."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def start(self, command: list[str], folder: Path, log: Any) -> subprocess.Popen[bytes] | None:
        """Start a process in `folder` and return it; return None if `stop` was called before."""
        with self._lock:
            if self._stopped:
                return None
            child = subprocess.Popen(command, cwd=folder, env=_environment(), stdout=log, stderr=log)
            self._running.add(child)
            return child

    def stop(self) -> None:
        """End the processes that still run, and let no other start."""
        with self._lock:
            self._stopped = True
            for child in self._running:
                if child.poll() is None:
                    child.terminate()


def _environment() -> dict[str, str]:
    """Return an environment in which a process finds this package and has a fixed number of threads."""
    root = str(Path(recbole_llminit.__file__).resolve().parents[1])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    threads = {"OMP_NUM_THREADS": str(_threads()), "PYTHONPATH": os.pathsep.join(paths)}
    return {**os.environ, **threads}


def _carry_out(job: Job, folder: Path, children: _Children) -> str | None:
    """Run one job in an empty folder; return None if its result file exists, else what went wrong."""
    if job.result.is_file():  # another study has done it meanwhile
        return None
    log_file = folder / "logs" / f"{job.name}.log"
    for parent in (folder / "work", log_file.parent):
        parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{job.name}-", dir=folder / "work") as place:
        for name, text in {"keys.yaml": yaml.safe_dump(job.keys), **job.files}.items():
            Path(place, name).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "recbole_llminit.cli", job.verb, *job.flags]
        with Path(place, "output").open("wb") as log:
            child = children.start([*command, "--config_files=keys.yaml"], Path(place), log)
            code = child.wait() if child else 1
        if code == 0 and job.result.is_file():
            log_file.unlink(missing_ok=True)  # the log of an earlier failure
            return None
        Path(place, "output").replace(log_file)
    return f"{_last_words(log_file)} (exit code {code}, {log_file})"


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
