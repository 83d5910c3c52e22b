"""Write the result file: the configuration of a run and its results, as JSON."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from recbole_llminit import __version__
from recbole_llminit.plugin.trainer import trainers
from recbole_llminit.plugin.wrapping import wrap
from recbole_llminit.utils.writing import write_json

_VERSIONS = ("recbole", "torch", "numpy", "scipy", "pandas")


def install() -> None:
    """Let RecBole's ``run_recbole`` write the result file in runs of this package."""
    wrap("recbole.quick_start.quick_start", "run_recbole", _recorded)


def _recorded(run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call ``run_recbole``, and write ``result_file`` if the config names one.

    Of several processes, only the first writes. Reads ``result_file``, ``local_rank``, ``offset``.
    """
    start = perf_counter()
    with trainers() as made:
        returned = run(*args, **kwargs)
    for trainer in made[:1]:  # a run has one trainer; a plain RecBole run makes no `PluginTrainer`
        config = trainer.config
        if config["result_file"] and config["local_rank"] + (config["offset"] or 0) == 0:
            write_json(_result(trainer, returned, start), Path(config["result_file"]))
    return returned


def _result(trainer: Any, returned: dict[str, Any], start: float) -> dict[str, Any]:
    """Return the content of the result file: times in seconds, memory in bytes, counts without padding.

    Reads ``model``, ``dataset``, ``data_path``, ``protocol``, ``seed``, ``valid_metric`` and the keys of the
    diagnostics, and stores the whole config.
    """
    end, config = perf_counter(), trainer.config
    last = max(getattr(trainer, "train_loss_dict", None) or [int(getattr(trainer, "start_epoch", 1)) - 1])
    return {
        "model": config["model"],
        "dataset": config["dataset"],
        "data": _data(Path(config["data_path"])),
        # Every protocol file sets `protocol` to its name, so a run with `auto` has read no such file.
        "protocol": "recbole" if config["protocol"] in (None, "auto") else config["protocol"],
        "counts": trainer.train_data._dataset.counts,
        "config": config.final_config_dict,
        "vectors": getattr(trainer.model, "llm_vectors_hash", None),
        "best_epoch": _best_epoch(trainer, last),
        "chosen": getattr(trainer.model, "chosen", None),  # the best point of a closed-form model's grid
        "epochs": last + 1,
        "valid": _metrics(returned["best_valid_result"]),
        "test": _metrics(returned["test_result"]),
        "seconds": {
            "start_up": trainer.fit_start - start,
            "train": trainer.fit_end - trainer.fit_start,
            "evaluate": end - trainer.fit_end,
            "total": end - start,
        },
        "peak_memory_bytes": peak_memory(),
        "parameters": _parameters(trainer.model),
        "versions": _versions(),
        "seed": config["seed"],
        "curve": _curve(trainer),
        **_diagnostics(trainer),
    }


def _curve(trainer: Any) -> dict[str, Any]:
    """Return the validated epochs with their scores, and the loss of every epoch of this run."""
    step = max(1, int(getattr(trainer, "eval_step", 1)))
    first = int(getattr(trainer, "start_epoch", 0)) // step + 1
    return {
        "metric": str(trainer.config["valid_metric"]).lower(),
        "epochs": [(first + i) * step - 1 for i in range(len(trainer.valid_scores))],
        "valid": trainer.valid_scores,
        "loss": [float(loss) for loss in getattr(trainer, "train_loss_dict", {}).values()],
    }


def _diagnostics(trainer: Any) -> dict[str, Any]:
    """Return the diagnostics that the config asks for.

    Reads ``group_metrics``, ``table_statistics``, ``save_users``.
    """
    from recbole_llminit.run import diagnostics

    if not any(trainer.config[key] for key in diagnostics.KEYS):
        return {}
    return diagnostics.diagnose(trainer, trainer.train_data._dataset, trainer.last_evaluated)


def _best_epoch(trainer: Any, last: int) -> int:
    """Return the best epoch as RecBole logs it: the last validated one minus those without improvement."""
    step = int(getattr(trainer, "eval_step", 0))
    if step <= 0:
        return last
    validated = (last + 1) // step * step - 1
    return validated - int(trainer.cur_step) * step


def _data(folder: Path) -> dict[str, Any] | None:
    """Return the data's source, version, ``synthetic`` and hash from their card; None without a card."""
    from recbole_llminit.dataset.card import read_card

    card = read_card(folder)
    keys = ("source", "version", "synthetic", "sha256")
    return {key: getattr(card, key) for key in keys} if card else None


def _versions() -> dict[str, str]:
    ours = {"recbole_llminit": __version__, "python": platform.python_version()}
    return ours | {name: importlib.metadata.version(name) for name in _VERSIONS}


def _parameters(model: Any) -> int | None:
    """Count the trainable parameters of a model; None for decision trees, which are no torch modules."""
    if not hasattr(model, "parameters"):
        return None
    return int(sum(p.numel() for p in model.parameters() if p.requires_grad))


def peak_memory() -> int:
    """Return the highest resident memory of this process so far, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _metrics(values: Any) -> dict[str, float] | None:
    return None if values is None else {name.lower(): float(value) for name, value in values.items()}
