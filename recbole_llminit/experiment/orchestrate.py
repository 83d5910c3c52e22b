"""Carry out a study: check it, search hyper-parameters, train missing runs, write rows and a summary.

In the folder ``out``, ``runs/`` holds one result file for each run. All studies share it, so that a run that
two studies ask for is trained once. ``searches/`` holds one result file for each hyper-parameter search, and
``<study>/`` the study's rows and summary.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from recbole_llminit.experiment.grid import Cell, Run, cells, with_best
from recbole_llminit.experiment.keys import DIAGNOSTICS, carried_keys
from recbole_llminit.experiment.rows import refuse_mixed, row_of, write_rows
from recbole_llminit.experiment.runner import Job, carry_out, workers
from recbole_llminit.experiment.study import Study
from recbole_llminit.experiment.summary import write_summary
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.progress import say
from recbole_llminit.utils.writing import write_text


def orchestrate(
    study: Study,
    out: Path,
    data_path: Path,
    *,
    command: str,
    jobs: str = "auto",
    dry_run: bool = False,
    train: bool = True,
    quiet: bool = False,
) -> dict[str, str]:
    """Train the missing runs of a study, summarise its results, and return the jobs that failed.

    Args:
        study: What to compare.
        out: Folder for runs and summaries.
        data_path: Folder of datasets.
        command: The command line, which the summary shows.
        jobs: How many runs to carry out at once, or ``auto``.
        dry_run: Print what would run, and stop.
        train: Search and train what is missing; if false, only summarise the results that exist.
        quiet: Print nothing.

    Returns:
        The error messages of the jobs that failed, by the job's name.

    Raises:
        UserError: If the study, its models, settings or data are wrong, which is checked before any run;
            if results were made from different data; or if `train` is false and there are no results.
    """
    workers(jobs, 1)  # refuses a wrong number before any work is done
    out, data_path = out.resolve(), data_path.resolve()
    missing = _missing_models(study)
    if missing:
        say(f"left out, no such model here: {', '.join(missing)}", quiet)
    if train and not dry_run:
        _check(cells(study, data_path, missing), data_path)
    table = cells(study, data_path, missing)  # again, since the check may have made tables of vectors
    searches = _searches(study, table, out, data_path)
    if dry_run:
        _list_jobs([*searches.values(), *(_run_job(cell.run, out, data_path) for cell in table)], searches)
        return {}
    wanted, failed = len(table), _all(list(searches.values()), out, jobs, quiet) if train else {}
    table = _tuned(table, searches)
    if train:
        _rows(study, table, out, data_path)  # results of other data are refused before hours are spent
        failed |= _all([_run_job(cell.run, out, data_path) for cell in table], out, jobs, quiet)
    rows = _rows(study, table, out, data_path)
    if not (rows or train):
        raise UserError(f"{out / 'runs'} holds no result of study {study.name}; train it without --summarise")
    if rows:
        _summarise(study, rows, out / study.name, command, searches)
        say(f"{out / study.name / 'summary.md'}: {len(rows)} of {wanted} rows", quiet)
    return failed


def _rows(study: Study, table: Sequence[Cell], out: Path, data_path: Path) -> list[dict[str, Any]]:
    """Return one row for each cell whose run is done."""
    rows = [row_of(cell, file) for cell in table if (file := _result(out, cell.run)).is_file()]
    refuse_mixed(rows, list(study.vary), data_path)
    return rows


def _summarise(
    study: Study, rows: list[dict[str, Any]], folder: Path, command: str, searches: dict[Any, Job]
) -> None:
    """Write the rows, the study as it was carried out, and the summary."""
    write_rows(rows, folder)
    write_text(yaml.safe_dump(study.as_dict(), sort_keys=False), folder / "study.yaml")
    best = {
        ", ".join([*what[:4], *(f"{key} {value}" for key, value in what[4])]): values
        for what, values in _best(searches).items()
    }
    write_summary(study, folder, command, best)


def _all(todo: list[Job], out: Path, jobs: str, quiet: bool) -> dict[str, str]:
    open_jobs = {job.result for job in todo if not job.result.is_file()}
    return carry_out(todo, out, workers(jobs, len(open_jobs)), quiet) if todo else {}


def _missing_models(study: Study) -> list[str]:
    """Return the optional settings whose model neither RecBole nor this package has."""
    from recbole_llminit.plugin.registry import model_class

    missing = []
    for name in study.optional:
        try:
            model_class(str(study.settings[name].get("model", study.models[0])))
        except UserError:
            missing.append(name)
    return missing


def _check(table: Sequence[Cell], data_path: Path) -> None:
    """Check every setting once before hours are spent, and make missing data and vectors."""
    from recbole_llminit.run.materialize import ready

    first = {json.dumps([c.run.model, c.search], default=str): c.run for c in reversed(table)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.yaml"
        for run in reversed(first.values()):
            keys = {**carried_keys(run, data_path), "result_file": str(Path(folder) / "result.json")}
            file.write_text(yaml.safe_dump(keys), encoding="utf-8")
            ready(run.model, run.dataset, [str(file)], {})


def _result(out: Path, run: Run) -> Path:
    return out / "runs" / f"{run.id}.json"


def _run_job(run: Run, out: Path, data_path: Path) -> Job:
    result = _result(out, run)
    keys = {**carried_keys(run, data_path), "result_file": str(result)}
    flags = (f"--model={run.model}", f"--dataset={run.dataset}", "--quiet")
    return Job(run.id, "run", flags, keys, result)


def _searches(study: Study, table: Sequence[Cell], out: Path, data_path: Path) -> dict[Any, Job]:
    """Return the searches by `Cell.search`; each runs on the first of the seeds that share it."""
    found: dict[Any, Job] = {}
    for cell in table:
        own = study.settings[cell.setting]  # keys that define the setting are not searched
        space = {key: some for key, some in study.tune.get(cell.model, {}).items() if key not in own}
        if space and cell.search not in found:
            found[cell.search] = _search_job(cell.run, space, out, data_path)
    return found


def _search_job(run: Run, space: dict[str, list[Any]], out: Path, data_path: Path) -> Job:
    lines = "".join(f"{key} choice {values!r}\n" for key, values in space.items())  # a literal
    searched = Run(run.model, run.dataset, {**run.keys, "searched": lines})
    result = out / "searches" / f"{searched.id}.json"
    flags = (f"--model={run.model}", f"--dataset={run.dataset}", "--quiet", f"--output_file={result}")
    points = math.prod(map(len, space.values()))  # so that no search stops before it has tried all
    space_flags = ("--params_file=space.test", "--algo=exhaustive", f"--early_stop={points}")
    keys = {**carried_keys(run, data_path), **dict.fromkeys(DIAGNOSTICS, False)}
    return Job(searched.id, "tune", (*flags, *space_flags), keys, result, {"space.test": lines})


def _best(searches: dict[Any, Job]) -> dict[Any, dict[str, Any]]:
    """Return the best values of each search that is done, by `Cell.search`."""
    done = {what: job.result for what, job in searches.items() if job.result.is_file()}
    return {what: json.loads(file.read_text(encoding="utf-8"))["best"] for what, file in done.items()}


def _tuned(table: Sequence[Cell], searches: dict[Any, Job]) -> list[Cell]:
    """Return the cells with the best values of their searches, without cells whose search failed."""
    best = _best(searches)
    kept = [cell for cell in table if cell.search in best or cell.search not in searches]
    return [with_best(cell, best.get(cell.search, {})) for cell in kept]


def _list_jobs(jobs: Sequence[Job], searches: dict[Any, Job]) -> None:
    unique = {job.result: job for job in jobs}
    for job in unique.values():
        print(f"{'done' if job.result.is_file() else 'to do':6} {job.verb:5} {job.name}")
    done = sum(file.is_file() for file in unique)
    note = "; the runs after a search take the values that it finds" if searches else ""
    print(f"{len(unique)} jobs, {done} done, {len(unique) - done} to do{note}")
