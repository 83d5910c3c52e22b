"""The verbs that train: run and tune."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from recbole_llminit.cli.guard import guarded
from recbole_llminit.utils.errors import UserError

_RUN_EXAMPLE = """example:
  %(prog)s --model=LLMInitSGCL --dataset=ml-100k --llm_selection=var --seed=2020
any other key of RecBole or of props/ is given as --key=value, and wins over every file"""


_TUNE_EXAMPLE = """example:
  echo "learning_rate loguniform -8,-5" > space.test
  %(prog)s --model=LLMInitSGCL --dataset=ml-100k --params_file=space.test --algo=bayes --max_evals=20"""


def _run_parser(prog: str, description: str, example: str = _RUN_EXAMPLE) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=example,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", "-m", default="LLMInitSGCL", help="name of a model (%(default)s)")
    parser.add_argument("--dataset", "-d", default="ml-100k", help="name of a dataset (%(default)s)")
    parser.add_argument("--config_files", default="", help='YAML files: "a.yaml b.yaml"')
    parser.add_argument("--quiet", "-q", action="store_true", help="no log and no progress bars")
    return parser


def _overrides(parser: argparse.ArgumentParser, rest: list[str]) -> dict[str, str]:
    """Read the ``--key=value`` arguments; RecBole would drop any other form with a warning."""
    from recbole_llminit.run.validate import OWN_FLAGS

    overrides = {}
    for argument in rest:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals:
            parser.error(f"argument '{argument}': write every key as --key=value")
        if key in OWN_FLAGS:
            raise UserError(f"argument '{argument}' is a flag of run, and no key of a config")
        if "=" in value:
            raise UserError(f"argument '{argument}': put a value that holds '=' into a YAML file")
        overrides[key] = value
    return overrides


def _prepare(args: argparse.Namespace, overrides: dict[str, str]) -> list[str]:
    """Hand the overrides to RecBole's config, which reads ``sys.argv``, and check the input."""
    from recbole_llminit.run.validate import checked_files

    if args.quiet:
        overrides = {"state": "WARNING", "show_progress": "False"} | overrides
    sys.argv = [sys.argv[0], f"--model={args.model}", f"--dataset={args.dataset}"]
    # `auto` is a question; the answer is the name that the protocol's file gives itself.
    answered = {k: v for k, v in overrides.items() if (k, v) != ("protocol", "auto")}
    sys.argv += [f"--{key}={value}" for key, value in answered.items()]
    return checked_files(
        args.model, args.dataset, args.config_files.split(), overrides, getattr(args, "nproc", 1)
    )


@guarded
def run(argv: list[str]) -> None:
    """Train and evaluate a model, the same as run_recbole_llminit.py."""
    parser = _run_parser("run_recbole_llminit.py", "Train and evaluate a RecBole model, plain or LLMInit<X>.")
    for flag, kind, value in (
        ("nproc", int, 1),
        ("ip", str, "localhost"),
        ("port", str, "5678"),
        ("world_size", int, -1),
        ("group_offset", int, 0),
    ):
        parser.add_argument(f"--{flag}", type=kind, default=value, help="as in RecBole (%(default)s)")
    parser.add_argument("--resume", metavar="PATH", help="go on from a checkpoint")
    parser.add_argument("--list-models", action="store_true", help="print every model and stop")
    args, rest = parser.parse_known_args(argv)
    if args.list_models:
        return _list_models()
    overrides = _overrides(parser, rest)
    if args.resume:
        overrides["resume"] = args.resume
    files = _prepare(args, overrides)
    from recbole.quick_start import run as recbole_run

    recbole_run(
        args.model,
        args.dataset,
        config_file_list=files,
        nproc=args.nproc,
        world_size=args.world_size,
        ip=args.ip,
        port=args.port,
        group_offset=args.group_offset,
    )


def _list_models() -> None:
    from tabulate import tabulate

    from recbole_llminit.plugin.registry import PREFIX, model_names

    names = model_names()
    rows = [
        (family.replace("_", "-"), name, PREFIX + name if PREFIX + name in names else "")
        for name, family in names.items()
        if not name.startswith(PREFIX)
    ]
    print(tabulate(rows, headers=["family", "plain", "initialised"]))


@guarded
def tune(argv: list[str]) -> None:
    """Search hyper-parameters with RecBole's HyperTuning."""
    parser = _run_parser(
        "recbole-llminit tune", "Search hyper-parameters with RecBole's HyperTuning.", _TUNE_EXAMPLE
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
    overrides = _overrides(parser, rest)
    if "result_file" in overrides:
        raise UserError("result_file is of one run; name --output_file for the results of a search")
    files = _prepare(args, overrides)
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
    """Write the best values and what validation gave each trial; the test is nobody's to choose by."""
    from recbole_llminit.run.record import write_json

    trials = {params: result["best_valid_score"] for params, result in search.params2result.items()}
    found = {"model": args.model, "dataset": args.dataset, "best": search.best_params, "trials": trials}
    write_json(found, args.output_file)
