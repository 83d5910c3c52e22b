"""The verb ``run``, which trains and evaluates one model, and functions that the verb ``tune`` uses too."""

from __future__ import annotations

import argparse
import sys

from recbole_llminit.cli.arguments import add_quiet, config_keys, verb_parser
from recbole_llminit.cli.guard import guarded
from recbole_llminit.utils.errors import UserError

_EXAMPLE = """example:
  %(prog)s --model=LLMInitSGCL --dataset=ml-100k --llm_selection=var --seed=2020
any other key of RecBole or of props/ is given as --key=value, and wins over every file"""


def training_parser(prog: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Return the parser of a verb that trains a model on a dataset."""
    parser = verb_parser(prog, description, examples)
    parser.add_argument("--model", "-m", default="LLMInitSGCL", help="name of a model (%(default)s)")
    parser.add_argument("--dataset", "-d", default="ml-100k", help="name of a dataset (%(default)s)")
    parser.add_argument("--config_files", default="", help='YAML files: "a.yaml b.yaml"')
    add_quiet(parser, "no log and no progress bars")
    return parser


def overrides_of(parser: argparse.ArgumentParser, rest: list[str]) -> dict[str, str]:
    """Read the ``--key=value`` arguments, which override every property file.

    Raises:
        UserError: If a key is a flag of ``run``, or a value holds ``=``, which RecBole can't parse.
    """
    overrides = config_keys(parser, rest)
    for key, value in overrides.items():
        if "=" in value:
            raise UserError(f"argument '--{key}={value}': put a value that holds '=' into a YAML file")
    return overrides


def ready_files(args: argparse.Namespace, overrides: dict[str, str], nproc: int = 1) -> list[str]:
    """Check the input, make data that are missing, and return the property files.

    The overrides are put into ``sys.argv``, from where RecBole's config reads them.

    Args:
        args: The arguments that `training_parser` parsed.
        overrides: The user's ``--key=value``.
        nproc: Number of processes on this machine.

    Raises:
        UserError: If the input has a mistake that would stop the run, or if the data can't be made.
    """
    from recbole_llminit.run.materialize import ready

    if args.quiet:
        overrides = {"state": "WARNING", "show_progress": "False"} | overrides
    sys.argv = [sys.argv[0], f"--model={args.model}", f"--dataset={args.dataset}"]
    # `auto` must not override the key `protocol`, which the protocol's file sets to its name.
    answered = {k: v for k, v in overrides.items() if (k, v) != ("protocol", "auto")}
    sys.argv += [f"--{key}={value}" for key, value in answered.items()]
    return ready(args.model, args.dataset, args.config_files.split(), overrides, nproc)


@guarded
def run(argv: list[str]) -> None:
    """Train and evaluate a model, the same as run_recbole_llminit.py."""
    parser = training_parser(
        "run_recbole_llminit.py", "Train and evaluate a RecBole model, plain or LLMInit<X>.", _EXAMPLE
    )
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
    overrides = overrides_of(parser, rest)
    if args.resume:
        overrides["resume"] = args.resume
    files = ready_files(args, overrides, args.nproc)
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

    from recbole_llminit.model.specs import PREFIX
    from recbole_llminit.plugin.registry import model_names

    names = model_names()
    rows = [
        (family.replace("_", "-"), name, PREFIX + name if PREFIX + name in names else "")
        for name, family in names.items()
        if not name.startswith(PREFIX)
    ]
    print(tabulate(rows, headers=["family", "plain", "initialised"]))
