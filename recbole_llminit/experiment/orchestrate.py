"""Conduct a study: check it, search hyper-parameters, train what is missing, write rows and summary.

In the folder ``out``: ``runs/`` holds one result file per run and is shared by all studies, so that a run
that two of them name is trained once; ``searches/`` holds the searches; ``<study>/`` its rows and summary.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from recbole_llminit.experiment.rows import refuse_mixed, row_of, write_rows
from recbole_llminit.experiment.runner import Job, carry_out, workers
from recbole_llminit.experiment.study import Cell, Run, Study, cells, read_yaml, with_best
from recbole_llminit.experiment.summary import write_summary
from recbole_llminit.run.materialize import say
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.writing import replacing

# What a run of a study tells besides its metrics; no part of what it is, so not of its id either.
_WATCHED = {"group_metrics": True, "table_statistics": True, "save_users": True, "show_progress": False}
_OF_FULL_RANKING = ("group_metrics", "save_users")
# Keys whose values may be paths: a run works in a folder of its own.
_FILES = ("protocol", "llm_embedding", "candidates_file")
_FOLDERS = ("backbone", "stage1", "first", "llm", "text_encoder")  # or files; after `allmrec_`


def conduct(
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
    """Carry out what is missing of a study and summarise what is there.

    Args:
        study: What to compare.
        out: Folder for runs and summaries.
        data_path: Folder of datasets.
        command: The command, for the summary.
        jobs: How many runs at once, or ``auto``.
        dry_run: Print what would run, and stop.
        train: Search and train what is missing; otherwise summarise what is there.
        quiet: Print nothing.

    Returns:
        What failed, by run.

    Raises:
        UserError: If the study, its models, settings or data are wrong; nothing has run then.
    """
    workers(jobs, 1)  # a wrong number is said before the work
    out, data_path = out.resolve(), data_path.resolve()
    missing = _missing_models(study)
    if missing:
        say(f"left out, no such model here: {', '.join(missing)}", quiet)
    if train and not dry_run:
        _check(cells(study, data_path, missing), data_path)
    table = cells(study, data_path, missing)  # again: the check may have made the vectors
    searches = _searches(study, table, out, data_path)
    if dry_run:
        _list_jobs([*searches.values(), *(_run_job(cell.run, out, data_path) for cell in table)], searches)
        return {}
    failed, wanted = _all(list(searches.values()), out, jobs, quiet) if train else {}, len(table)
    table = [cell if found is None else with_best(cell, found) for cell, found in _tuned(table, searches)]
    if train:
        _rows(study, table, out, data_path)  # what is there already must fit before hours are spent
        failed |= _all([_run_job(cell.run, out, data_path) for cell in table], out, jobs, quiet)
    rows = _rows(study, table, out, data_path)
    if not (rows or train):
        raise UserError(f"{out / 'runs'} holds no result of study {study.name}; train it without --summarise")
    if rows:
        _summarise(study, rows, out / study.name, command, searches)
        say(f"{out / study.name / 'summary.md'}: {len(rows)} of {wanted} rows", quiet)
    return failed


def _rows(study: Study, table: Sequence[Cell], out: Path, data_path: Path) -> list[dict[str, Any]]:
    """Return the rows of the runs that are done."""
    rows = [row_of(cell, file) for cell in table if (file := _result(out, cell.run)).is_file()]
    refuse_mixed(rows, list(study.vary), data_path)
    return rows


def _summarise(
    study: Study, rows: list[dict[str, Any]], folder: Path, command: str, searches: dict[Any, Job]
) -> None:
    """Write rows, the study as it was carried out, and the summary."""
    write_rows(rows, folder)
    with replacing(folder / "study.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(study.as_dict(), sort_keys=False), encoding="utf-8")
    best = {
        ", ".join([*what[:4], *(f"{key} {value}" for key, value in what[4])]): _best(job)
        for what, job in searches.items()
        if job.result.is_file()
    }
    write_summary(study, folder, command, best)


def _best(job: Job) -> dict[str, Any]:
    best: dict[str, Any] = json.loads(job.result.read_text(encoding="utf-8"))["best"]
    return best


def _all(todo: list[Job], out: Path, jobs: str, quiet: bool) -> dict[str, str]:
    open_jobs = {job.result for job in todo if not job.result.is_file()}
    return carry_out(todo, out, workers(jobs, len(open_jobs)), quiet) if todo else {}


def _missing_models(study: Study) -> list[str]:
    """Return the optional settings whose model does not exist here."""
    from recbole_llminit.plugin.registry import model_class

    missing = []
    for name in study.optional:
        try:
            model_class(str(study.settings[name].get("model", study.models[0])))
        except UserError:
            missing.append(name)
    return missing


def _check(table: Sequence[Cell], data_path: Path) -> None:
    """Check every setting once before hours are spent, and make the data and vectors that are missing."""
    from recbole_llminit.run.validate import checked_files

    first = {json.dumps([c.run.model, c.search], default=str): c.run for c in reversed(table)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.yaml"
        for run in reversed(first.values()):
            keys = {**_carried_keys(run, data_path), "result_file": str(Path(folder) / "result.json")}
            file.write_text(yaml.safe_dump(keys), encoding="utf-8")
            checked_files(run.model, run.dataset, [str(file)], {})


def _carried_keys(run: Run, data_path: Path) -> dict[str, Any]:
    """Return a run's keys for a process in another folder."""
    paths = {
        key: str(Path(value).resolve())
        for key in (*_FILES, *(f"allmrec_{name}" for name in _FOLDERS))
        if isinstance(value := run.keys.get(key), str) and _is_path(key, Path(value))
    }
    return {**_watched(run), **run.keys, **paths, "data_path": str(data_path)}


def _watched(run: Run) -> dict[str, Any]:
    """Return what a run tells; of a sampled evaluation not what only a full ranking can."""
    mode = _eval_args(run).get("mode", "full")
    test = mode.get("test", mode.get("valid", "full")) if isinstance(mode, dict) else mode  # as RecBole
    return {key: value for key, value in _WATCHED.items() if test == "full" or key not in _OF_FULL_RANKING}


def _eval_args(run: Run) -> dict[str, Any]:
    """Return the run's own, or those of the protocol's file; the shipped protocols rank all items."""
    file = Path(str(run.keys["protocol"]))
    named = read_yaml(file.read_text(encoding="utf-8")) if file.is_file() else None
    return run.keys.get("eval_args") or (named or {}).get("eval_args") or {}


def _is_path(key: str, value: Path) -> bool:
    """Tell a path from a name; candidates are drawn into a file that is not there yet."""
    return key == "candidates_file" or value.is_file() or (key not in _FILES and value.is_dir())


def _result(out: Path, run: Run) -> Path:
    return out / "runs" / f"{run.id}.json"


def _run_job(run: Run, out: Path, data_path: Path) -> Job:
    result = _result(out, run)
    keys = {**_carried_keys(run, data_path), "result_file": str(result)}
    flags = (f"--model={run.model}", f"--dataset={run.dataset}", "--quiet")
    return Job(run.id, "run", flags, keys, result)


def _searches(study: Study, table: Sequence[Cell], out: Path, data_path: Path) -> dict[Any, Job]:
    """Return the search of each group of cells that differ in the seed alone; its seed is the first one."""
    found: dict[Any, Job] = {}
    for cell in table:
        own = study.settings[cell.setting]  # what a setting names is what it is, and is not searched
        space = {key: some for key, some in study.tune.get(cell.model, {}).items() if key not in own}
        if space and cell.search not in found:
            found[cell.search] = _search_job(cell.run, space, out, data_path)
    return found


def _search_job(run: Run, space: dict[str, list[Any]], out: Path, data_path: Path) -> Job:
    lines = "".join(f"{key} choice {values!r}\n" for key, values in space.items())  # read by eval
    searched = Run(run.model, run.dataset, {**run.keys, "searched": lines})
    result = out / "searches" / f"{searched.id}.json"
    watched = dict.fromkeys(("group_metrics", "table_statistics", "save_users"), False)
    flags = (f"--model={run.model}", f"--dataset={run.dataset}", "--quiet", f"--output_file={result}")
    points = math.prod(map(len, space.values()))  # all of them: no stop before the best one
    space_flags = ("--params_file=space.test", "--algo=exhaustive", f"--early_stop={points}")
    keys = {**_carried_keys(run, data_path), **watched}
    return Job(searched.id, "tune", (*flags, *space_flags), keys, result, {"space.test": lines})


def _tuned(table: Sequence[Cell], searches: dict[Any, Job]) -> list[tuple[Cell, dict[str, Any] | None]]:
    """Pair each cell with the best values that its search found; cells whose search failed are left out."""
    paired: list[tuple[Cell, dict[str, Any] | None]] = []
    for cell in table:
        job = searches.get(cell.search)
        if job is None:
            paired.append((cell, None))
        elif job.result.is_file():
            paired.append((cell, _best(job)))
    return paired


def _list_jobs(jobs: Sequence[Job], searches: dict[Any, Job]) -> None:
    unique = {job.result: job for job in jobs}
    for job in unique.values():
        print(f"{'done' if job.result.is_file() else 'to do':6} {job.verb:5} {job.name}")
    done = sum(file.is_file() for file in unique)
    note = "; the runs after a search take the values that it finds" if searches else ""
    print(f"{len(unique)} jobs, {done} done, {len(unique) - done} to do{note}")
