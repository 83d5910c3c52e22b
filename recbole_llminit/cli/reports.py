"""The verbs that show results."""

from __future__ import annotations

import argparse
from pathlib import Path

from recbole_llminit.cli.guard import guarded


@guarded
def report(argv: list[str]) -> None:
    """Print a table of result files."""
    parser = argparse.ArgumentParser(
        prog="recbole-llminit report",
        description="Print a table of result files.",
        epilog="example: %(prog)s saved/demo/*.json",
        allow_abbrev=False,
    )
    parser.add_argument("results", nargs="+", type=Path, help="files written by --result_file")
    parser.add_argument("--metrics", default="Recall@10,NDCG@10", help="comma-separated (%(default)s)")
    args = parser.parse_args(argv)
    from recbole_llminit.report.table import read_result, results_table

    print(results_table([read_result(file) for file in args.results], args.metrics.split(",")))
