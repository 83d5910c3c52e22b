"""Subclass whichever trainer RecBole chooses, to add what runs of this package need."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from logging import getLogger
from pathlib import Path
from time import perf_counter
from typing import Any

from recbole_llminit.plugin.config import is_plugin_run
from recbole_llminit.plugin.registry import is_ours
from recbole_llminit.plugin.wrapping import wrap
from recbole_llminit.utils.errors import UserError

_made: ContextVar[list[PluginTrainer] | None] = ContextVar("_made", default=None)


class PluginTrainer:
    """Mixin that `around` places before a RecBole trainer class to add what runs of this package need.

    Rankings are collected in linear time, Adam updates a table in one pass, and the embeddings of cold items
    keep their initial values. Training continues from the checkpoint that ``resume`` names as if it had never
    stopped, and only if the checkpoint is of this run (`plugin.checkpoint`). For the result file, the trainer
    keeps each validation score and the times at which training began and ended.
    In a plain RecBole run, the constructor returns RecBole's own trainer instead.

    Reads ``resume``, ``model``, and ``protocol`` by `is_plugin_run`.

    Attributes:
        host: The RecBole trainer class that is extended.
        train_data: The data loader of the training.
        valid_data: The data loader of the validation.
        last_evaluated: The data loader that was evaluated last; after a run, that of the test.
        valid_scores: The score of each validation of this run, in order.
        last_valid_result: The metrics of the last validation.
        resumed: What the checkpoint that is resumed knows of its run; None in a run that starts anew.
        source: The file of that checkpoint.
        fit_start: Time at which training began, in seconds of `perf_counter`.
        fit_end: Time at which training ended, in seconds of `perf_counter`.
    """

    host: type[Any]
    config: Any
    model: Any
    cur_step: int  # validations since the best one
    saved_model_file: str

    def __new__(cls, config: Any, model: Any) -> Any:
        """Make this trainer, or for a plain RecBole run the RecBole trainer `host`."""
        return super().__new__(cls) if is_plugin_run(config) else cls.host(config, model)

    def __init__(self, config: Any, model: Any) -> None:
        from recbole.trainer import Trainer

        from recbole_llminit.evaluation.full_ranking import ListCollector
        from recbole_llminit.plugin.checkpoint import rename_files

        super().__init__(config, model)  # type: ignore[call-arg]  # of RecBole's trainer
        rename_files(self)
        if isinstance(self, Trainer):  # the trainer of decision trees collects predictions differently
            self.eval_collector = ListCollector(config)
        self.train_data: Any = None
        self.valid_data: Any = None
        self.last_valid_result: Any = None
        self.resumed: dict[str, Any] | None = None
        self.source = ""
        self.last_evaluated: Any = None
        self.valid_scores: list[float] = []
        self.fit_start = self.fit_end = perf_counter()
        if points := getattr(model, "points", ()):  # of a closed-form model's grid, solved one an epoch
            self.epochs, self.eval_step, self.stopping_step = len(points), 1, len(points)
        if (made := _made.get()) is not None:
            made.append(self)

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """Which run this is: what a checkpoint must have in common with it."""
        from recbole_llminit.plugin.checkpoint import identity_here

        return identity_here(self)

    def fit(self, train_data: Any, valid_data: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train as RecBole does, continuing from the checkpoint that ``resume`` names, if any.

        Raises:
            UserError: If that file is no checkpoint of this run.
        """
        from recbole_llminit.plugin import checkpoint
        from recbole_llminit.sampling.cold_start import keep_untrained

        self.train_data, self.valid_data = train_data, valid_data
        keep_untrained(self.model, train_data._dataset)
        if self.config["resume"] and getattr(self, "start_epoch", None) == 0:
            self.resume_checkpoint(self.config["resume"])
        if self.resumed is not None:
            kwargs |= checkpoint.go_on(self)
        self.fit_start = perf_counter()
        best = super().fit(train_data, valid_data, *args, **kwargs)  # type: ignore[misc]
        if hasattr(self.model, "solve") and self.cur_step:  # the last point was not the best
            self.model.solve(self.epochs - 1 - self.cur_step)
        self.fit_end = perf_counter()
        return best

    def resume_checkpoint(self, resume_file: str) -> None:
        """Load a checkpoint of this run as RecBole does, but keep the trainer's own file to write to.

        Raises:
            UserError: If the file is no checkpoint of this run.
        """
        from recbole_llminit.plugin.checkpoint import refuse_other_run

        own, self.source = self.saved_model_file, str(resume_file)
        self.resumed = refuse_other_run(self, Path(resume_file))
        try:
            super().resume_checkpoint(resume_file)  # type: ignore[misc]
        except (RuntimeError, KeyError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"resume: {resume_file} is no checkpoint of this model and data: {reason}"
            ) from error
        self.saved_model_file = own

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        """Write RecBole's checkpoint, with what `plugin.checkpoint` adds to it, as a whole or not at all."""
        from recbole_llminit.plugin import checkpoint

        write = super()._save_checkpoint  # type: ignore[misc]
        if not hasattr(self, "optimizer"):  # RecBole's trainer of decision trees takes no other file
            write(epoch)
            return
        file = kwargs.pop("saved_model_file", self.saved_model_file)
        checkpoint.save(self, functools.partial(write, epoch, verbose=False, **kwargs), Path(file))
        if verbose:
            getLogger().info(f"Saving current: {file}")

    def evaluate(self, eval_data: Any, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as RecBole does, and remember the data loader."""
        self.last_evaluated = eval_data
        return super().evaluate(eval_data, *args, **kwargs)  # type: ignore[misc]

    def _train_epoch(self, train_data: Any, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:
        """Train as RecBole does; a closed-form model solves the epoch's point of its grid instead."""
        if not hasattr(self.model, "solve"):
            return super()._train_epoch(train_data, epoch_idx, *args, **kwargs)  # type: ignore[misc]
        self.model.solve(epoch_idx)
        return 0.0

    def _valid_epoch(self, *args: Any, **kwargs: Any) -> Any:
        score, result = super()._valid_epoch(*args, **kwargs)  # type: ignore[misc]
        self.valid_scores.append(float(score))
        self.last_valid_result = result
        return score, result

    def _build_optimizer(self, **kwargs: Any) -> Any:
        """Return RecBole's optimizer; for models of this package, a fused Adam or AdamW in its place.

        The fused kernel updates a table in one pass over it instead of a dozen. The numbers are the same
        but for rounding. torch older than 2.4 has no such kernel on a CPU.
        """
        import torch

        built = super()._build_optimizer(**kwargs)  # type: ignore[misc]
        if type(built) not in (torch.optim.Adam, torch.optim.AdamW) or not is_ours(self.config["model"]):
            return built
        (group,) = built.param_groups
        settings = {"lr": group["lr"], "weight_decay": group["weight_decay"]}
        try:
            return type(built)(group["params"], fused=True, **settings)
        except RuntimeError:
            return built


@contextmanager
def trainers() -> Iterator[list[PluginTrainer]]:
    """Yield a list that receives each `PluginTrainer` made within the block; plain RecBole runs make none."""
    made: list[PluginTrainer] = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


@functools.cache
def around(host: type[Any]) -> type[Any]:
    """Return the subclass of a RecBole trainer class that adds `PluginTrainer`; it keeps the class's name."""
    body = {"__module__": __name__, "__doc__": PluginTrainer.__doc__, "host": host}
    return type(host.__name__, (PluginTrainer, host), body)


def _trainer_class(original: Callable[..., type[Any]], model_type: Any, model: str) -> type[Any]:
    host: Any = original(model_type, model)
    return around(host)


def install() -> None:
    """Wrap RecBole's choice of a trainer as soon as its module is imported."""
    wrap("recbole.utils.utils", "get_trainer", _trainer_class)
