"""Complete the config keys of a run, so that another process can carry it out in another folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_llminit.experiment.grid import Run
from recbole_llminit.plugin.registry import spec_of
from recbole_llminit.run.diagnostics import KEYS
from recbole_llminit.utils.yaml import read_mapping

# What every run writes besides its metrics. These keys change nothing in the training and therefore do not
# enter the run's id: a run that was made without them is not trained again.
DIAGNOSTICS = KEYS
_OF_ANY_RANKING = ("table_statistics",)  # the diagnostics that need no full ranking
_FILES = ("protocol", "llm_embedding")  # each holds a name or the path of a file
_WRITTEN = "candidates_file"  # holds a path, even before the file exists


def carried_keys(run: Run, data_path: Path) -> dict[str, Any]:
    """Return a run's keys for a process in another folder, with absolute paths and with the diagnostics.

    Keys that the study sets win over the diagnostics. The `ModelSpec` of the run's model says which of the
    model's keys hold paths.
    """
    own = spec_of(run.model).path_keys
    paths = {
        key: str(Path(value).resolve())
        for key in (_WRITTEN, *_FILES, *own)
        if isinstance(value := run.keys.get(key), str) and _is_path(key, Path(value), key in own)
    }
    quiet = {"show_progress": False}
    return {**quiet, **_diagnostics(run), **run.keys, **paths, "data_path": str(data_path)}


def _is_path(key: str, value: Path, may_be_folder: bool) -> bool:
    """Tell whether the value of a key is a path and not a name."""
    return key == _WRITTEN or value.is_file() or (may_be_folder and value.is_dir())


def _diagnostics(run: Run) -> dict[str, bool]:
    """Return the diagnostics of a run, without those of a full ranking if the test samples candidates."""
    mode = _eval_args(run).get("mode", "full")
    test = mode.get("test", mode.get("valid", "full")) if isinstance(mode, dict) else mode  # as in RecBole
    return dict.fromkeys(DIAGNOSTICS if test == "full" else _OF_ANY_RANKING, True)


def _eval_args(run: Run) -> dict[str, Any]:
    """Return the run's `eval_args`, or those of its protocol's file; shipped protocols rank all items."""
    file = Path(str(run.keys["protocol"]))
    named = read_mapping(file) if file.is_file() else {}
    return run.keys.get("eval_args") or named.get("eval_args") or {}
