"""Compare MoRec with the models it extends, and with LLMInit: one run each, one table.

Example: python -m benchmarks.morec --dataset=ml-100k --protocols=masked --epochs=40

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

GENERAL = {
    "LightGCN": {},
    "LLMInitLightGCN": {},
    "MoRec, mf": {"morec_backbone": "mf"},
    "MoRec, lightgcn": {"morec_backbone": "lightgcn"},
    "MoRec, lightgcn, add": {"morec_backbone": "lightgcn", "morec_fusion": "add"},
}
SEQUENTIAL = {"SASRec": {}, "LLMInitSASRec": {}, "MoRecSASRec": {}}
NAMES = {"masked": "masked", "paper": "unmasked", "sequential": "sequential"}
METRICS = ("recall@10", "ndcg@10")


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data_path", default="atomic_data")
    parser.add_argument("--protocols", default="masked,paper,sequential")
    parser.add_argument("--models", help="rows of the table, split by ; (all)")
    parser.add_argument("--seed", type=int, default=2020)
    parser.add_argument("--output", type=Path, default=Path("saved/morec"), help="result files")
    args, overrides = parser.parse_known_args()
    jobs = [
        (name, protocol)
        for protocol in args.protocols.split(",")
        for name in (SEQUENTIAL if protocol == "sequential" else GENERAL)
        if args.models is None or name in args.models.split(";")
    ]
    rows = [row(args, overrides, *job) for job in tqdm(jobs, unit="run")]
    head = ["model", "protocol", *METRICS, "parameters", "best epoch", "epochs"]
    print(tabulate(rows, headers=head, tablefmt="github", floatfmt=("", "", ".4f", ".4f"), intfmt=","))


def row(args: argparse.Namespace, overrides: list[str], name: str, protocol: str) -> list[object]:
    """Return one run's row, training it if its result file does not exist."""
    file = args.output / f"{args.dataset}-{name.replace(', ', '-')}-{protocol}-{args.seed}.json"
    if not file.is_file():
        keys = (GENERAL | SEQUENTIAL)[name] | {"protocol": protocol, "seed": args.seed, "result_file": file}
        keys |= {"data_path": args.data_path, "show_progress": "False"}
        model = name.partition(",")[0]
        command = [sys.executable, "run_recbole_llminit.py", f"--model={model}", f"--dataset={args.dataset}"]
        flags = [f"--{key}={value}" for key, value in keys.items()]
        subprocess.run([*command, *flags, *overrides, "--quiet"], check=True)
    result = json.loads(file.read_text(encoding="utf-8"))
    scores = [result["test"][metric] for metric in METRICS]
    figures = [result["parameters"], result["best_epoch"], result["epochs"]]
    return [name, NAMES[protocol], *scores, *figures]


if __name__ == "__main__":
    main()
