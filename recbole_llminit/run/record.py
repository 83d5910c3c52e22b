"""The result file: what one run was and what it gave, as JSON.

RecBole's ``run_recbole`` returns metrics only. The rest is seen by wrapping the names it uses, for
the time of the run.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from recbole_llminit import __version__
from recbole_llminit.dataset.card import read_card
from recbole_llminit.utils.writing import replacing

_VERSIONS = ("recbole", "torch", "numpy", "scipy", "pandas")


def recorded(run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call RecBole's ``run_recbole`` and write ``result_file`` if the config names one.

    Of several processes only rank 0 writes.
    """
    watch = _Watch()
    with watch.names(sys.modules["recbole.quick_start.quick_start"]):
        result = run(*args, **kwargs)
    file = watch.config["result_file"]
    if file and watch.config["local_rank"] + (watch.config["offset"] or 0) == 0:
        write_json(watch.result(result), Path(file))
    return result


def write_json(value: Any, file: Path) -> None:
    """Write `value` to `file` in one step, making its folder."""
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(value, indent=2, default=str) + "\n", encoding="utf-8")


class _Watch:
    """Keeps the objects that a run makes, and the moments at which its phases end."""

    def __init__(self) -> None:
        self.config: Any = None
        self.dataset: Any = None
        self.loaders: Any = None
        self.trainer: Any = None
        self.valid_scores: list[float] = []
        self.vectors: str | None = None
        self.start = perf_counter()
        self.fit_start = self.fit_end = self.start

    @contextmanager
    def names(self, host: Any) -> Iterator[None]:
        """Wrap the names in RecBole's quick start that make a config, a dataset and a trainer."""
        names = ("Config", "create_dataset", "data_preparation", "get_trainer")
        originals = {name: getattr(host, name) for name in names}
        host.Config = self._keep("config", host.Config)
        host.create_dataset = self._keep("dataset", host.create_dataset)
        host.data_preparation = self._keep("loaders", host.data_preparation)
        host.get_trainer = lambda *a: self._timed(originals["get_trainer"](*a))
        try:
            yield
        finally:
            for name, value in originals.items():
                setattr(host, name, value)

    def _keep(self, name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any, **kwargs: Any) -> Any:
            setattr(self, name, value := make(*args, **kwargs))
            return value

        return made

    def _timed(self, trainer_class: Callable[..., Any]) -> Callable[..., Any]:
        def make(config: Any, model: Any) -> Any:
            self.trainer = trainer = trainer_class(config, model)
            self.vectors = getattr(model, "llm_vectors_hash", None)
            trainer.fit = self._fit(trainer.fit)
            return trainer

        return make

    def _fit(self, fit: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.trainer._valid_epoch = self._validated(self.trainer._valid_epoch)
            self.fit_start = perf_counter()
            best = fit(*args, **kwargs)
            self.fit_end = perf_counter()
            return best

        return timed

    def _validated(self, validate: Callable[..., Any]) -> Callable[..., Any]:
        def kept(*args: Any, **kwargs: Any) -> Any:
            score, result = validate(*args, **kwargs)
            self.valid_scores.append(float(score))
            return score, result

        return kept

    def result(self, returned: dict[str, Any]) -> dict[str, Any]:
        """Return the run's result; times in seconds, memory in bytes, counts without padding."""
        end, config, dataset = perf_counter(), self.config, self.dataset
        last = max(getattr(self.trainer, "train_loss_dict", None) or [self._resumed_at()])
        return {
            "model": config["model"],
            "dataset": config["dataset"],
            "data": _data(Path(config["data_path"])),
            # Every protocol file names itself: what is still `auto` read none.
            "protocol": "recbole" if config["protocol"] in (None, "auto") else config["protocol"],
            "counts": {
                "users": dataset.user_num - 1,
                "items": dataset.item_num - 1,
                "interactions": dataset.inter_num,
            },
            "config": config.final_config_dict,
            "vectors": self.vectors,
            "best_epoch": self._best_epoch(last),
            "epochs": last + 1,
            "valid": _metrics(returned["best_valid_result"]),
            "test": _metrics(returned["test_result"]),
            "seconds": {
                "start_up": self.fit_start - self.start,
                "train": self.fit_end - self.fit_start,
                "evaluate": end - self.fit_end,
                "total": end - self.start,
            },
            "peak_memory_bytes": peak_memory(),
            "parameters": _parameters(self.trainer.model),
            "versions": _versions(),
            "seed": config["seed"],
            "curve": self._curve(),
            **self._observations(),
        }

    def _curve(self) -> dict[str, Any]:
        """Return the validated epochs with their scores, and the loss of every epoch of this run."""
        step = max(1, int(getattr(self.trainer, "eval_step", 1)))
        first = int(getattr(self.trainer, "start_epoch", 0)) // step + 1
        return {
            "metric": str(self.config["valid_metric"]).lower(),
            "epochs": [(first + i) * step - 1 for i in range(len(self.valid_scores))],
            "valid": self.valid_scores,
            "loss": [float(loss) for loss in getattr(self.trainer, "train_loss_dict", {}).values()],
        }

    def _observations(self) -> dict[str, Any]:
        if not any(self.config[key] for key in ("group_metrics", "table_statistics", "save_users")):
            return {}
        from recbole_llminit.run.diagnostics import observations

        train, _, test = self.loaders
        return observations(self.trainer, train._dataset, test)

    def _resumed_at(self) -> int:
        return int(getattr(self.trainer, "start_epoch", 1)) - 1

    def _best_epoch(self, last: int) -> int:
        """Return the best epoch as RecBole logs it: the last validated one less the steps without gain."""
        step = int(getattr(self.trainer, "eval_step", 0))
        if step <= 0:
            return last
        validated = (last + 1) // step * step - 1
        return validated - int(self.trainer.cur_step) * step


def _data(folder: Path) -> dict[str, Any] | None:
    """Return what the data card says the data are; None without a card."""
    card = read_card(folder)
    return card and {key: card[key] for key in ("source", "version", "synthetic", "sha256")}


def _versions() -> dict[str, str]:
    ours = {"recbole_llminit": __version__, "python": platform.python_version()}
    return ours | {name: importlib.metadata.version(name) for name in _VERSIONS}


def _parameters(model: Any) -> int | None:
    """Count the trainable numbers of a model; None for decision trees, which are no modules."""
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
