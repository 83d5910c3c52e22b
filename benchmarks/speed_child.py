"""Measure one side for `benchmarks.speed`, and print the seconds of each phase as a line of JSON.

The side is ``theirs`` (plain RecBole) or ``ours`` (this project).
"""

from __future__ import annotations

import copy
import importlib
import itertools
import json
import resource
import statistics
import sys
import tempfile
import types
from contextlib import redirect_stdout
from pathlib import Path
from time import perf_counter

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
_OURS_ALONE = ("protocol", "llm_", "users_per_batch", "result_file", "resume", "data_path")
_D_LLM = 768
_TUNED_USERS = (256, 512, 1024)  # users per step that a careful user of RecBole would try


def main() -> None:
    """Do the measurement that the command line names."""
    side, model, dataset, data_path, phases, steps, users = sys.argv[1:]
    sys.argv = sys.argv[:1]  # RecBole would read the arguments
    with redirect_stdout(sys.stderr):
        install(side)
        found = measure(side, model, dataset, data_path, phases.split(","), int(steps), int(users))
    print(json.dumps(found))


def install(side: str) -> None:
    """Import this project; on RecBole's side only its repairs, through a package with an empty `__init__`."""
    if side == "theirs":
        package = types.ModuleType("recbole_llminit")
        package.__path__ = [str(ROOT / "recbole_llminit")]
        sys.modules["recbole_llminit"] = package
        importlib.import_module("recbole_llminit.plugin.compat").install()
        sys.modules["recbole.model.general_recommender.sgcl"] = importlib.import_module(
            "benchmarks.plain_sgcl"
        )
    else:
        import recbole_llminit  # noqa: F401


def settings(side: str, model: str, dataset: str, data_path: str, **keys: object) -> object:
    """Return a config with the same hyper-parameters, split and metrics on both sides."""
    import yaml
    from recbole.config import Config

    files = [
        ROOT / "props" / name for name in ("overall.yaml", f"model/{model}.yaml", "protocol/masked.yaml")
    ]
    keys = {"data_path": data_path, "show_progress": False, "state": "ERROR", "worker": 0, **keys}
    name = model
    if side == "ours":
        name = model if model == "SGCL" else f"LLMInit{model}"
        keys["llm_embedding"] = keys.get("llm_embedding", "none")
        return Config(name, dataset, config_file_list=list(map(str, files)), config_dict=keys)
    plain: dict[str, object] = {}
    for file in files:
        plain |= yaml.safe_load(file.read_text())
    plain = {key: value for key, value in plain.items() if not key.startswith(_OURS_ALONE)}
    return Config(name, dataset, config_dict={**plain, **keys})


def measure(
    side: str, model: str, dataset: str, data_path: str, phases: list[str], steps: int, users: int
) -> dict[str, object]:
    """Return the seconds of each phase, the peak memory in bytes, and the device."""
    from recbole.data import create_dataset, data_preparation
    from recbole.quick_start import run_recbole  # noqa: F401  # a run imports it
    from recbole.utils import get_model, get_trainer, init_seed

    config = settings(side, model, dataset, data_path)
    init_seed(config["seed"], config["reproducibility"])
    start = perf_counter()
    data = create_dataset(config)
    train, valid, _ = data_preparation(config, data)
    built = get_model(config["model"])(config, train._dataset).to(config["device"])
    next(iter(train))
    found: dict[str, object] = {"start_up": perf_counter() - start, "device": str(config["device"])}
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, built)
    if "graph" in phases and hasattr(built, "get_norm_adj_mat"):
        found["graph"] = timed(lambda: built.get_norm_adj_mat().to(config["device"]))
    if "train_epoch" in phases:
        trainer._train_epoch(shortened(train, 2), 0)  # warm up
        spent = timed(lambda: trainer._train_epoch(shortened(train, steps), 0))
        found["train_epoch"] = spent * len(train) / min(steps, len(train))
    if "evaluate_tuned" in phases:
        found["evaluate_tuned"] = evaluate_tuned(side, config, trainer, valid)
    if "evaluate_default" in phases:
        found["evaluate_default"] = evaluate_default(side, config, trainer, valid, users)
    if "load_vectors" in phases:
        found["load_vectors"] = load_vectors(side, model, dataset, data_path, data)
    found["peak_memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if "best_epoch" in phases:
        found["best_epoch"] = best_epoch(trainer, train, valid)
    return found


def timed(work: object) -> float:
    """Return the seconds that a call takes, including its work on a GPU."""
    import torch

    start = perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start


def evaluate_tuned(side: str, config: object, trainer: object, valid: object) -> float:
    """Time a validation after a warm-up; on RecBole's side, return the best time of several batch sizes."""
    times = []
    for users in _TUNED_USERS if side == "theirs" else (None,):
        loader = valid
        if users:
            config["eval_batch_size"] = users * valid._dataset.item_num
            loader = type(valid)(config, valid._dataset, valid._sampler)
        trainer.evaluate(shortened(loader, 2), load_best_model=False)
        times.append(timed(lambda loader=loader: trainer.evaluate(loader, load_best_model=False)))
    return min(times)


def evaluate_default(side: str, config: object, trainer: object, valid: object, users: int) -> float:
    """Time a validation at the default batch size; RecBole's is extrapolated from its first `users` users.

    The extrapolation favours RecBole, whose collector slows down with every batch.
    """
    if side == "ours":
        return timed(lambda: trainer.evaluate(valid, load_best_model=False))
    config["eval_batch_size"] = 4096
    loader = type(valid)(config, valid._dataset, valid._sampler)
    batches = -(-users // loader.step)
    share = min(batches, len(loader)) / len(loader)
    return timed(lambda: trainer.evaluate(shortened(loader, batches), load_best_model=False)) / share


def shortened(loader: object, batches: int) -> object:
    """Return a loader that stops after some batches; it is a subclass, since trainers check the class."""
    short = copy.copy(loader)
    changes = {
        "__iter__": lambda self: itertools.islice(loader, batches),
        "__len__": lambda self: min(batches, len(loader)),
    }
    short.__class__ = type("Short", (type(loader),), changes)
    return short


def load_vectors(side: str, model: str, dataset: str, data_path: str, data: object) -> float:
    """Time the reading of random vectors for all items: from this project's table or RecBole's `.itememb`."""
    tokens = [str(token) for token in data.field2id_token[data.iid_field][1:]]
    vectors = np.random.default_rng(0).normal(size=(len(tokens), _D_LLM)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        if side == "ours":
            return _load_ours(model, dataset, data_path, data, Path(folder), tokens, vectors)
        return _load_theirs(model, dataset, data_path, Path(folder), tokens, vectors)


def _load_ours(
    model: str,
    dataset: str,
    data_path: str,
    data: object,
    folder: Path,
    tokens: list[str],
    vectors: np.ndarray,
) -> float:
    from recbole_llminit.embedding.load import load_item_vectors
    from recbole_llminit.embedding.table import Card, VectorTable, save

    file = folder / "random.safetensors"
    save(VectorTable.build(tuple(tokens), vectors, Card(encoder="random numbers")), file)
    config = settings("ours", model, dataset, data_path, llm_embedding=str(file))
    return statistics.median(timed(lambda: load_item_vectors(config, data)) for _ in range(3))


def _load_theirs(
    model: str, dataset: str, data_path: str, folder: Path, tokens: list[str], vectors: np.ndarray
) -> float:
    from recbole.data import create_dataset
    from recbole.data.dataset import Dataset

    place = folder / dataset
    place.mkdir()
    for file in (Path(data_path) / dataset).glob(f"{dataset}.inter"):
        (place / file.name).symlink_to(file.resolve())
    with (place / f"{dataset}.itememb").open("w") as out:
        out.write("iid:token\tllm_emb:float_seq\n")
        for token, row in zip(tokens, vectors, strict=True):
            out.write(f"{token}\t{' '.join(f'{value:.9g}' for value in row)}\n")
    config = settings(
        "theirs",
        model,
        dataset,
        str(folder),
        additional_feat_suffix=["itememb"],
        load_col={"inter": ["user_id", "item_id"], "itememb": ["iid", "llm_emb"]},
        alias_of_item_id=["iid"],
        preload_weight={"iid": "llm_emb"},
    )
    spent = []
    for name in ("_load_additional_feat", "_preload_weight_matrix"):
        original = getattr(Dataset, name)

        def counted(self: object, *args: object, original: object = original) -> None:
            spent.append(timed(lambda: original(self, *args)))

        setattr(Dataset, name, counted)
    assert create_dataset(config).get_preload_weight("iid").shape[1] == _D_LLM
    return sum(spent)


def best_epoch(trainer: object, train: object, valid: object) -> float:
    """Train to the end and return the seconds until the best epoch."""
    start, best = perf_counter(), (-1.0, 0.0)

    def note(epoch: int, score: float) -> None:
        nonlocal best
        best = max(best, (score, perf_counter() - start), key=lambda pair: pair[0])

    trainer.fit(train, valid, saved=False, verbose=False, callback_fn=note)
    return best[1]


if __name__ == "__main__":
    main()
