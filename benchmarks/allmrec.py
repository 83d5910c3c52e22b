"""Compare variants of A-LLMRec's first stage on one dataset.

Example: python -m benchmarks.allmrec --dataset=beauty-mini --seeds=2020,2021

For each seed, the backbone is trained first, and then each variant on it. Runs whose result file exists are
not repeated, so that an interrupted comparison continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

FAST = "--learning_rate=0.001"  # a rate of the paper's grid; the paper's 1e-4 takes hundreds of epochs
VARIANTS = {
    "mse": [FAST],
    "infonce": ["--config_files=props/allmrec/infonce.yaml", FAST],
    "deeper": ["--config_files=props/allmrec/deeper.yaml"],
    "mse, all positions": ["--allmrec_positions=all", FAST],
    "mse, shuffled texts": ["--llm_shuffle_items=True", FAST],
    "mse, text alone": ["--allmrec_cold=1000000", FAST],
}
METRICS = ("recall@10", "ndcg@10", "recall@50")


def main() -> None:
    """Do the runs that are missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data_path", default="atomic_data")
    parser.add_argument("--backbone", default="SASRec", help="%(default)s")
    parser.add_argument("--backbone_flags", default="", help="keys of the backbone alone, split by spaces")
    parser.add_argument("--epochs", type=int, default=300, help="most epochs of stage 1 (%(default)s)")
    parser.add_argument("--seeds", default="2020,2021,2022", help="%(default)s")
    parser.add_argument("--variants", default=";".join(VARIANTS), help="split by ;")
    parser.add_argument("--output", type=Path, default=Path("saved/allmrec"), help="checkpoints and results")
    args, overrides = parser.parse_known_args()
    seeds = [int(seed) for seed in args.seeds.split(",")]
    names = [args.backbone, *args.variants.split(";")]
    todo = [(name, seed) for seed in seeds for name in names]
    found = {job: result(args, overrides, *job) for job in tqdm(todo, unit="run")}
    rows = [row(name, [found[name, seed] for seed in seeds]) for name in names]
    head = ["stage 1", *METRICS, "parameters", "best epoch", "seconds"]
    print(tabulate(rows, headers=head, tablefmt="github", disable_numparse=True))


def row(name: str, results: list[dict]) -> list[str]:
    """Return a table row: mean and standard deviation over the seeds, parameters, best epochs, seconds."""
    scores = [[result["test"][metric] for result in results] for metric in METRICS]
    spread = [f"{np.mean(s):.4f} ± {np.std(s, ddof=1) if len(s) > 1 else 0:.4f}" for s in scores]
    epochs = ", ".join(str(result["best_epoch"]) for result in results)
    seconds = np.mean([result["seconds"]["total"] for result in results])
    return [name, *spread, f"{results[0]['parameters']:,}", epochs, f"{seconds:.0f}"]


def result(args: argparse.Namespace, overrides: list[str], name: str, seed: int) -> dict:
    """Return the content of a run's result file, after doing the run if the file does not exist."""
    folder = args.output / args.dataset / str(seed)
    file = folder / f"{name.replace(', ', '-').replace(' ', '-')}.json"
    if not file.is_file():
        if name in VARIANTS:
            model, flags = "ALLMRec", [*VARIANTS[name], f"--allmrec_backbone={folder / args.backbone}"]
            flags.append(f"--epochs={args.epochs}")
        else:
            model, flags = name, ["--protocol=sequential", *args.backbone_flags.split()]
        keys = {"seed": seed, "data_path": args.data_path, "result_file": file}
        keys["checkpoint_dir"] = file.with_suffix("")
        flags = [*flags, *(f"--{key}={value}" for key, value in keys.items())]
        command = [sys.executable, "run_recbole_llminit.py", f"--model={model}", f"--dataset={args.dataset}"]
        subprocess.run([*command, *flags, *overrides, "--quiet"], check=True)
    return json.loads(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
