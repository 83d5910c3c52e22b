"""Check an environment end to end: train, evaluate, save and reload models on RecBole's ml-100k.

    python tests/smoke.py

The package must be installed. Prints one line per step and exits with 1 if a step fails; works in a
temporary folder, so nothing lands in the current one.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from recbole_llminit import config_files

MODELS = ("LLMInitSGCL", "LLMInitLightGCN", "LightGCN", "LLMInitSASRec")
DATASET = "ml-100k"
_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("numpy", "scipy", "pandas", "torch", "recbole", "recbole-llminit")
_QUIET = {"show_progress": False, "state": "ERROR", "use_gpu": False, "worker": 0}
_SMALL = {"epochs": 1, "n_layers": 1, "MAX_ITEM_LIST_LENGTH": 10}


def main() -> int:
    """Run every step; return 0, or 1 if one failed."""
    sys.argv = sys.argv[:1]  # RecBole's Config parses the rest
    packages = [f"{name} {version(name)}" for name in _PACKAGES]
    print(", ".join([f"python {platform.python_version()}", *packages]), flush=True)
    steps: dict[str, Callable[[], str]] = {model: lambda m=model: round_trip(m) for model in MODELS}
    steps["model names"] = list_models
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        passed = [passes(name, step) for name, step in steps.items()]
        os.chdir(_ROOT)
    print(f"{sum(passed)} of {len(passed)} steps passed")
    return 0 if all(passed) else 1


def passes(name: str, step: Callable[[], str]) -> bool:
    """Run a step, print its line and tell whether it passed."""
    start = perf_counter()
    try:
        found = step()
    except Exception:  # whatever breaks, the other steps still say something
        traceback.print_exc()
        print(f"{name}: FAILED", flush=True)
        return False
    print(f"{name}: {found} ({perf_counter() - start:.0f} s)", flush=True)
    return True


def round_trip(model: str) -> str:
    """Train a model for an epoch, load its checkpoint and check that it gives the same metrics."""
    trained = train(model)
    loaded = evaluate(next(Path(model).glob("*.pth")))
    if not trained or trained != loaded:
        raise AssertionError(f"metrics were {trained} and after loading {loaded}")
    return f"trained, evaluated, saved, loaded; ndcg@10 {trained['ndcg@10']:.4f} both times"


def train(model: str) -> dict[str, float]:
    """Train a model for an epoch, save it in a folder of its name and return its test metrics."""
    from recbole.quick_start import run_recbole

    own = {"checkpoint_dir": model, "metric_decimal_place": 10}
    result = run_recbole(
        model=model,
        dataset=DATASET,
        config_file_list=config_files(model, DATASET),
        config_dict={**_QUIET, **_SMALL, **own, "data_path": str(_ROOT / "atomic_data")},
    )
    return dict(result["test_result"])


def evaluate(checkpoint: Path) -> dict[str, float]:
    """Load a checkpoint as a user would and return the test metrics of its model."""
    from recbole.quick_start import load_data_and_model
    from recbole.utils import get_trainer

    config, model, _, _, _, test = load_data_and_model(str(checkpoint))
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    return dict(trainer.evaluate(test, load_best_model=False, show_progress=False))


def list_models() -> str:
    """Count the models, plain and initialised; a missing one fails."""
    from recbole_llminit.plugin.registry import PREFIX, model_names

    names = model_names()
    if missing := [model for model in MODELS if model not in names]:
        raise AssertionError(f"not listed: {', '.join(missing)}")
    initialised = sum(name.startswith(PREFIX) for name in names)
    return f"{len(names) - initialised} plain, {initialised} initialised"


if __name__ == "__main__":
    sys.exit(main())
