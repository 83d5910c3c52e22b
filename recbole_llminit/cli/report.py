"""The verb ``report``, which shows results."""

from __future__ import annotations

import argparse
from pathlib import Path

from recbole_llminit.cli.arguments import verb_parser
from recbole_llminit.cli.guard import guarded
from recbole_llminit.utils.errors import UserError

_EXAMPLE = """examples:
  %(prog)s saved/demo/*.json                           print a table
  %(prog)s host.json var.json --html report.html       and write a page; plain models are the baseline
  %(prog)s saved/experiment/table1                     the page of a study, in its folder"""

_METRICS = "Recall@10,NDCG@10"


@guarded
def report(argv: list[str]) -> None:
    """Print a table of result files, or write a page about them or about a study."""
    what = "Print a table of result files; write one HTML page about them, or about a study."
    parser = verb_parser("recbole-llminit report", what, _EXAMPLE)
    parser.add_argument("results", nargs="+", type=Path, help="files of --result_file, or a study's folder")
    parser.add_argument("--metrics", help=f"of files, comma-separated ({_METRICS}); a study names its own")
    parser.add_argument("--html", type=Path, help="write a page about these files")
    args = parser.parse_args(argv)
    if folders := [path for path in args.results if path.is_dir()]:
        return _study(args, folders[0])
    metrics = (args.metrics or _METRICS).split(",")
    from recbole_llminit.report.table import read_result, results_table

    print(results_table([read_result(file) for file in args.results], metrics))
    if args.html:
        from recbole_llminit.report.build import report_files

        print(report_files(args.results, metrics, args.html))


def _study(args: argparse.Namespace, folder: Path) -> None:
    if len(args.results) > 1 or args.html or args.metrics:
        raise UserError(
            f"{folder} is a study's folder: name it alone; its page is report.html in it, with the "
            "metrics of the study"
        )
    from recbole_llminit.experiment.page import report_study

    print(report_study(folder))
