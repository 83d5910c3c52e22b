"""Where RecBole's trainers meet our runs: one subclass around whichever trainer RecBole chooses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pickle import UnpicklingError
from time import perf_counter
from typing import Any

from recbole_llminit.plugin.config import is_plugin_run
from recbole_llminit.plugin.registry import is_ours
from recbole_llminit.plugin.wrapping import wrap
from recbole_llminit.utils.errors import UserError

_made: ContextVar[list[PluginTrainer] | None] = ContextVar("_made", default=None)


class PluginTrainer:
    """What a run of this package adds to a trainer of RecBole's, in front of which it stands.

    Rankings are collected in linear time, Adam updates a table in one pass, training goes on from the
    checkpoint that ``resume`` names, and rows of cold items stay as the start left them. For the result
    file it keeps the score of each validation and the moments at which training began and ended.

    Attributes:
        host: RecBole's own trainer class.
        train_data: The loader that was trained on.
        last_evaluated: The loader that was evaluated last; after a run, the test's.
        valid_scores: The score of each validation, in order.
        fit_start: Moment at which training began, in seconds of `perf_counter`.
        fit_end: Moment at which it ended.
    """

    host: type[Any]
    config: Any
    model: Any

    def __new__(cls, config: Any, model: Any) -> Any:
        """Make RecBole's own trainer for a plain RecBole run."""
        return super().__new__(cls) if is_plugin_run(config) else cls.host(config, model)

    def __init__(self, config: Any, model: Any) -> None:
        from recbole.trainer import Trainer

        from recbole_llminit.evaluation.full_ranking import ListCollector

        super().__init__(config, model)  # type: ignore[call-arg]  # the host's
        if isinstance(self, Trainer):  # decision trees have a collector of their own kind
            self.eval_collector = ListCollector(config)
        self.train_data: Any = None
        self.last_evaluated: Any = None
        self.valid_scores: list[float] = []
        self.fit_start = self.fit_end = perf_counter()
        if (made := _made.get()) is not None:
            made.append(self)

    def fit(self, train_data: Any, *args: Any, **kwargs: Any) -> Any:
        """Train as RecBole does, from the checkpoint that ``resume`` names if there is one.

        Raises:
            UserError: If that file is no checkpoint of this model and data.
        """
        from recbole_llminit.sampling.cold_start import keep_untrained

        self.train_data = train_data
        keep_untrained(self.model, train_data._dataset)
        kwargs |= self._resumed()
        self.fit_start = perf_counter()
        best = super().fit(train_data, *args, **kwargs)  # type: ignore[misc]
        self.fit_end = perf_counter()
        return best

    def _resumed(self) -> dict[str, bool]:
        """Load the checkpoint that ``resume`` names; return what `fit` then has to be told.

        RecBole marks a checkpoint that has nothing left to train as one of no epoch, and the next time
        trains it from the first: a finished one is left as it is.
        """
        file, trainer = self.config["resume"], self
        if not file or getattr(trainer, "start_epoch", None) != 0:
            return {}
        try:
            trainer.resume_checkpoint(file)  # type: ignore[attr-defined]
        except (RuntimeError, KeyError, AttributeError, ImportError, UnpicklingError, EOFError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"resume: {file} is no checkpoint of this model and data: {reason}") from error
        return {"saved": False} if trainer.start_epoch >= trainer.epochs else {}  # type: ignore[attr-defined]

    def evaluate(self, eval_data: Any, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as RecBole does."""
        self.last_evaluated = eval_data
        return super().evaluate(eval_data, *args, **kwargs)  # type: ignore[misc]

    def _valid_epoch(self, *args: Any, **kwargs: Any) -> Any:
        score, result = super()._valid_epoch(*args, **kwargs)  # type: ignore[misc]
        self.valid_scores.append(float(score))
        return score, result

    def _build_optimizer(self, **kwargs: Any) -> Any:
        """Let our models' Adam update a table in one pass over it instead of a dozen.

        The numbers are the same but for rounding. torch older than 2.4 has no such kernel on a CPU.
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
    """Give the list of the trainers that are made within the block: plain RecBole runs make none."""
    made: list[PluginTrainer] = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


@functools.cache
def around(host: type[Any]) -> type[Any]:
    """Return the subclass that stands around one of RecBole's trainers; it goes by the trainer's name."""
    body = {"__module__": __name__, "__doc__": PluginTrainer.__doc__, "host": host}
    return type(host.__name__, (PluginTrainer, host), body)


def _trainer_class(original: Callable[..., type[Any]], model_type: Any, model: str) -> type[Any]:
    host: Any = original(model_type, model)
    return around(host)


def install() -> None:
    """Wrap RecBole's choice of a trainer as soon as its module is imported."""
    wrap("recbole.utils.utils", "get_trainer", _trainer_class)
