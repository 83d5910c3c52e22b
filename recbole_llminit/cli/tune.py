"""The verb ``tune``, which searches hyper-parameters."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from recbole_llminit.cli.guard import guarded
from recbole_llminit.cli.run import overrides_of, ready_files, training_parser
from recbole_llminit.utils.errors import UserError

_EXAMPLE = """example:
  echo "learning_rate loguniform -8,-5" > space.test
  %(prog)s --model=LLMInitSGCL --dataset=ml-100k --params_file=space.test --algo=bayes --max_evals=20"""


@guarded
def tune(argv: list[str]) -> None:
    """Search hyper-parameters with RecBole's HyperTuning."""
    parser = training_parser(
        "recbole-llminit tune", "Search hyper-parameters with RecBole's HyperTuning.", _EXAMPLE
    )
    parser.add_argument("--params_file", type=Path, required=True, help="search space in RecBole's format")
    parser.add_argument(
        "--algo",
        choices=("exhaustive", "random", "bayes"),
        default="exhaustive",
        help="how to search (%(default)s)",
    )
    parser.add_argument(
        "--max_evals", type=int, default=100, help="most trials of random and bayes (%(default)s)"
    )
    parser.add_argument(
        "--early_stop",
        type=int,
        default=10,
        help="stop after so many trials without gain, exhaustive too (%(default)s)",
    )
    parser.add_argument("--output_file", type=Path, help="where to write every trial (text, or .json)")
    args, rest = parser.parse_known_args(argv)
    if not args.params_file.is_file():
        raise UserError(f"--params_file: '{args.params_file}' does not exist")
    overrides = overrides_of(parser, rest)
    if "result_file" in overrides:
        raise UserError("result_file is of one run; name --output_file for the results of a search")
    files = ready_files(args, overrides)
    from recbole.quick_start import objective_function
    from recbole.trainer import HyperTuning

    search = HyperTuning(
        objective_function,
        params_file=str(args.params_file),
        fixed_config_file_list=files,
        algo=args.algo,
        max_evals=args.max_evals,
        early_stop=args.early_stop,
    )
    search.run()
    if args.output_file and args.output_file.suffix == ".json":
        _write_search(search, args)
    elif args.output_file:
        search.export_result(output_file=str(args.output_file))
    print(f"best params: {search.best_params}")
    print(f"best result: {search.params2result[search.params2str(search.best_params)]}")


def _write_search(search: Any, args: argparse.Namespace) -> None:
    """Write the best values and each trial's validation score as JSON.

    Test scores are left out, so that nobody selects hyper-parameters by them.
    """
    from recbole_llminit.utils.writing import write_json

    trials = {params: result["best_valid_score"] for params, result in search.params2result.items()}
    found = {"model": args.model, "dataset": args.dataset, "best": search.best_params, "trials": trials}
    write_json(found, args.output_file)
