"""Time plain RecBole and this project in turn, and print how many times as fast this project is.

Example: python -m benchmarks.speed --dataset beauty-2014 --data-path data --json speed.json

Each measurement runs in a new process. RecBole's and this project's take turns, round after round, so that
a drift of the machine's speed affects both. RecBole's process loads the repairs in compat.py, without which
RecBole 1.2.1 does not run with current libraries, and nothing else of this project.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

PHASES = (
    "graph",
    "start_up",
    "train_epoch",
    "evaluate_default",
    "evaluate_tuned",
    "load_vectors",
    "peak_memory",
)
_OF_ONE_MODEL = {"start_up", "evaluate_default", "evaluate_tuned", "load_vectors"}  # for the first model


def main() -> None:
    """Measure both sides in turn and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data-path", default="atomic_data")
    parser.add_argument("--models", default="LightGCN,SGL,SGCL", help="comma-separated (%(default)s)")
    parser.add_argument("--phases", default=",".join(PHASES), help="of these, and best_epoch (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10, help="training steps timed, of an epoch")
    parser.add_argument(
        "--eval-users", type=int, default=10**9, help="users timed at RecBole's default batch (all)"
    )
    parser.add_argument("--json", type=Path, help="where to write the ratios")
    args = parser.parse_args()
    seconds: dict[tuple[str, str], list[tuple[float, float]]] = {}
    device = ""
    models = args.models.split(",")
    jobs = [(model, number) for number in range(args.rounds) for model in models]
    for model, _ in tqdm(jobs, unit="pair"):
        phases = [p for p in args.phases.split(",") if model == models[0] or p not in _OF_ONE_MODEL]
        theirs, ours = (child(side, model, phases, args) for side in ("theirs", "ours"))
        device = ours.pop("device")
        for phase in phases:
            if phase in theirs and phase in ours:
                seconds.setdefault((phase, model), []).append((theirs[phase], ours[phase]))
    results = [ratios(phase, model, device, pairs) for (phase, model), pairs in seconds.items()]
    results.sort(key=lambda row: [*PHASES, "best_epoch"].index(row["phase"]))
    print(tabulate(results, headers="keys", tablefmt="github", floatfmt=".2f"))
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def child(side: str, model: str, phases: list[str], args: argparse.Namespace) -> dict[str, float]:
    """Measure one model on one side in a new process; return seconds, bytes for memory, and the device."""
    command = [sys.executable, "-m", "benchmarks.speed_child", side, model, args.dataset, args.data_path]
    command += [",".join(phases), str(args.steps), str(args.eval_users)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def ratios(phase: str, model: str, device: str, pairs: list[tuple[float, float]]) -> dict[str, object]:
    """Return a row with the median, least and largest ratio of RecBole's value to this project's."""
    values = [theirs / ours for theirs, ours in pairs]
    return {
        "phase": phase,
        "model": model,
        "device": device,
        "rounds": len(values),
        "ratio_median": statistics.median(values),
        "ratio_min": min(values),
        "ratio_max": max(values),
    }


if __name__ == "__main__":
    main()
