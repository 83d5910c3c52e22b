"""The config keys with which a run of a study is carried out, in a process and a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_llminit.experiment.grid import Run
from recbole_llminit.plugin.registry import spec_of
from recbole_llminit.utils.yaml import read_mapping

# What every run writes besides its metrics. These keys change nothing in the training, and so are no part
# of the keys from which a run gets its id: a run that was made without them is not trained again.
DIAGNOSTICS = ("group_metrics", "table_statistics", "save_users")
_OF_ANY_RANKING = ("table_statistics",)
_FILES = ("protocol", "llm_embedding")  # each holds a name, or the path of a file
_WRITTEN = "candidates_file"  # holds a path, also of a file that is not there yet


def carried_keys(run: Run, data_path: Path) -> dict[str, Any]:
    """Return a run's keys for a process in another folder: with absolute paths and the diagnostics.

    The keys that the study sets for a run win over the diagnostics. The spec of its model says which of
    them hold paths.
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
    """Tell a path from a name."""
    return key == _WRITTEN or value.is_file() or (may_be_folder and value.is_dir())


def _diagnostics(run: Run) -> dict[str, bool]:
    """Return the diagnostics of a run; a sampled evaluation has none of those that need a full ranking."""
    mode = _eval_args(run).get("mode", "full")
    test = mode.get("test", mode.get("valid", "full")) if isinstance(mode, dict) else mode  # as RecBole
    return dict.fromkeys(DIAGNOSTICS if test == "full" else _OF_ANY_RANKING, True)


def _eval_args(run: Run) -> dict[str, Any]:
    """Return the run's own, or those of the protocol's file; the shipped protocols rank all items."""
    file = Path(str(run.keys["protocol"]))
    named = read_mapping(file) if file.is_file() else {}
    return run.keys.get("eval_args") or named.get("eval_args") or {}
