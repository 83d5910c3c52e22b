"""Compare ways to start a model on one dataset: one run each, both protocols, one table.

Example: python -m benchmarks.initialisation --dataset=ml-100k --train_batch_size=2048

Runs that are done (their result file exists) are not repeated, so an interrupted comparison goes on
where it stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

STARTS = {
    "host": {},
    "rand": {"llm_selection": "rand"},
    "uni": {"llm_selection": "uni"},
    "var": {"llm_selection": "var"},
    "svd": {"llm_selection": "svd"},
    "pca": {"llm_selection": "pca"},
    "var, shuffled": {"llm_selection": "var", "llm_shuffle_items": "True"},
    "var, popular": {"llm_selection": "var", "llm_selection_scope": "popular"},
}
PROTOCOLS = {"masked": "masked", "paper": "unmasked"}
METRICS = ("recall@10", "ndcg@10")


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data_path", default="atomic_data")
    parser.add_argument("--models", default="LightGCN,SGCL", help="hosts, comma-separated (%(default)s)")
    parser.add_argument("--starts", default="host;rand;uni;var;svd;pca;var, shuffled", help="split by ;")
    parser.add_argument("--protocols", default="masked,paper")
    parser.add_argument("--seed", type=int, default=2020)
    parser.add_argument("--output", type=Path, default=Path("saved/initialisation"), help="result files")
    args, overrides = parser.parse_known_args()
    todo = [
        (model, start, protocol)
        for model in args.models.split(",")
        for protocol in args.protocols.split(",")
        for start in args.starts.split(";")
    ]
    rows = [row(args, overrides, *job) for job in tqdm(todo, unit="run")]
    head = ["model", "start", "protocol", *METRICS, "best epoch", "epochs", "seconds"]
    formats = ("", "", "", ".4f", ".4f", "d", "d", ".0f")
    print(tabulate(rows, headers=head, tablefmt="github", floatfmt=formats))


def row(
    args: argparse.Namespace, overrides: list[str], model: str, start: str, protocol: str
) -> list[object]:
    """Return one run's row, training it if its result file does not exist."""
    settings = STARTS[start]
    name = f"LLMInit{model}" if settings else model
    file = args.output / f"{args.dataset}-{model}-{start.replace(', ', '-')}-{protocol}-{args.seed}.json"
    if not file.is_file():
        keys = settings | {"protocol": protocol, "seed": args.seed, "result_file": file}
        keys |= {"data_path": args.data_path, "show_progress": "False"}
        flags = [f"--{key}={value}" for key, value in keys.items()]
        command = [sys.executable, "run_recbole_llminit.py", f"--model={name}", f"--dataset={args.dataset}"]
        subprocess.run([*command, *flags, *overrides, "--quiet"], check=True)
    result = json.loads(file.read_text(encoding="utf-8"))
    scores = [result["test"][metric] for metric in METRICS]
    figures = [result["best_epoch"], result["epochs"], result["seconds"]["total"]]
    return [model, start, PROTOCOLS[protocol], *scores, *figures]


if __name__ == "__main__":
    main()
