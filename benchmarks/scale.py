"""Measure time and memory on generated datasets of growing size, and print how they grow.

Example: python -m benchmarks.scale --factors 1,10,100 --models LightGCN

The dataset at factor 1 has 50,000 purchases of 5,600 users and 3,000 items; all three are multiplied by the
factor, so that the mean degree stays the same. Each measurement runs in a new process. The times of an
epoch and an evaluation are extrapolated from some training steps and some evaluation batches.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from benchmarks.speed_child import settings, shortened, timed

USERS, ITEMS, INTERACTIONS = 5_600, 3_000, 50_000  # at factor 1


def main() -> None:
    """Measure each factor and model in a new process and print two tables; with ``--child``, measure one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--factors", default="1,10,100", help="comma-separated (%(default)s)")
    parser.add_argument("--models", default="LightGCN", help="comma-separated (%(default)s)")
    parser.add_argument("--steps", type=int, default=5, help="training steps timed (%(default)s)")
    parser.add_argument("--batches", type=int, default=5, help="evaluation batches timed (%(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--child", nargs=2, metavar=("MODEL", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        sys.argv = sys.argv[:1]  # RecBole would read the arguments
        with redirect_stdout(sys.stderr):
            found = measure(*args.child, args.steps, args.batches)
        print(json.dumps(found))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for factor in tqdm([int(factor) for factor in args.factors.split(",")], unit="world"):
            write_world(Path(folder), factor)
            for model in args.models.split(","):
                rows.append({"model": model, "factor": factor, **child(model, folder, args)})
    rows.sort(key=lambda row: (row["model"], row["factor"]))
    print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".2f"))
    print()
    print(tabulate(growth(rows), headers="keys", tablefmt="github", floatfmt=".1f"))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


def write_world(folder: Path, factor: int) -> None:
    """Write a generated dataset's interactions as RecBole's atomic file, over those of the last factor."""
    from recbole_llminit.prepare.sources.synthetic import generate

    world, _ = generate(USERS * factor, ITEMS * factor, INTERACTIONS * factor)
    place = folder / "shop"
    place.mkdir(exist_ok=True)
    names = {"user_id": "user_id:token", "item_id": "item_id:token"}
    pairs = world[list(names)].drop_duplicates().rename(columns=names)
    pairs.to_csv(place / "shop.inter", sep="\t", index=False)


def child(model: str, folder: str, args: argparse.Namespace) -> dict[str, float]:
    """Run `measure` in a new process and return its result."""
    command = [sys.executable, "-m", "benchmarks.scale", "--child", model, folder]
    command += ["--steps", str(args.steps), "--batches", str(args.batches)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(model: str, folder: str, steps: int, batches: int) -> dict[str, float]:
    """Return the number of interactions, and times and peak memory of one model on the dataset in `folder`.

    Times are in seconds, that of a training step in milliseconds; memory is in GiB.
    """
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    import recbole_llminit  # noqa: F401

    config = settings("ours", model, "shop", folder)
    init_seed(config["seed"], config["reproducibility"])
    parts: list[object] = []

    def start() -> None:
        train, valid, _ = data_preparation(config, create_dataset(config))
        built = get_model(config["model"])(config, train._dataset).to(config["device"])
        parts.extend((train, valid, get_trainer(config["MODEL_TYPE"], config["model"])(config, built)))

    started = timed(start)
    train, valid, trainer = parts
    trainer._train_epoch(shortened(train, 1), 0)
    step = timed(lambda: trainer._train_epoch(shortened(train, steps), 0)) / min(steps, len(train))
    trainer.evaluate(shortened(valid, 1), load_best_model=False)
    batch = timed(lambda: trainer.evaluate(shortened(valid, batches), load_best_model=False))
    return {
        "interactions": train._dataset.inter_num,
        "start-up s": started,
        "step ms": 1000 * step,
        "epoch s": step * len(train),
        "evaluation s": batch / min(batches, len(valid)) * len(valid),
        "peak GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def growth(rows: list[dict[str, float]]) -> list[dict[str, object]]:
    """Return the ratio of each number to that at the factor before."""
    table = []
    for one, two in itertools.pairwise(rows):
        if one["model"] == two["model"]:
            grown = {key: f"x{two[key] / one[key]:.1f}" for key in list(one)[2:]}
            table.append({"model": one["model"], "from": one["factor"], "to": two["factor"], **grown})
    return table


if __name__ == "__main__":
    main()
