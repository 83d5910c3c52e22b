"""The verb ``experiment``, which carries out a study."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recbole_llminit.cli.arguments import add_data_path, add_quiet, config_keys, verb_parser
from recbole_llminit.cli.guard import guarded
from recbole_llminit.utils.errors import UserError

_EXAMPLE = """examples:
  %(prog)s table1 --dry-run                                     what would run
  %(prog)s table1 --datasets mine --seeds 2020 2021 2022        a shipped study on your data
  %(prog)s mine.yaml --jobs 4 --epochs=100                      a study of your own
any other key of RecBole or of props/ is given as --key=value and holds for every run. The same command
goes on where it was stopped; result files of other machines count once they lie in OUT/runs."""


@guarded
def experiment(argv: list[str]) -> None:
    """Run a study: many runs, compared over seeds with statistics."""
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    from recbole_llminit.experiment.orchestrate import orchestrate
    from recbole_llminit.experiment.study import Study

    lists = {name: getattr(args, name) for name in ("datasets", "models", "settings", "protocols", "seeds")}
    study = Study.read(args.study).selected(_keys(parser, rest), args.base, **lists)
    sys.argv = sys.argv[:1]  # RecBole's config must not read the keys here; each run has them in a file
    with _terminated_as_interrupted():
        failed = orchestrate(
            study,
            args.out,
            args.data_path,
            command="recbole-llminit experiment " + shlex.join(argv),
            jobs=args.jobs,
            dry_run=args.dry_run,
            train=not args.summarise,
            quiet=args.quiet,
        )
    for name, message in failed.items():
        print(f"failed: {name}: {message}", file=sys.stderr)
    if failed:
        raise SystemExit(1)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C within the context, so that no process of the study is left running."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only it can handle signals
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    what = "Run what is missing of a study; write its rows and a summary with statistics."
    parser = verb_parser("recbole-llminit experiment", what, _EXAMPLE)
    parser.add_argument("study", help="name of a study in props/experiment/, or a YAML file")
    parser.add_argument("--jobs", default="auto", help="runs at once (auto: by cores and free memory)")
    add_data_path(parser)
    parser.add_argument("--out", type=Path, default=Path("saved/experiment"), help="folder (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print what would run, and stop")
    parser.add_argument("--summarise", action="store_true", help="train nothing; summarise what is there")
    add_quiet(parser, "print nothing but failures")
    part = parser.add_argument_group("in place of the study's own")
    for name in ("datasets", "models", "protocols"):
        part.add_argument(f"--{name}", nargs="+", metavar="NAME")
    part.add_argument("--settings", nargs="+", metavar="NAME", help="of the study; the baseline always runs")
    part.add_argument("--base", metavar="NAME", help="the setting that the others are compared with")
    part.add_argument("--seeds", nargs="+", type=int, metavar="N")
    return parser


def _keys(parser: argparse.ArgumentParser, rest: list[str]) -> dict[str, Any]:
    """Read the ``--key=value`` arguments, whose values are YAML.

    Raises:
        UserError: If another flag or the study decides the key, or the value is not YAML.
    """
    import yaml

    from recbole_llminit.utils.yaml import read_yaml

    for key in (argument.removeprefix("--").partition("=")[0] for argument in rest):
        if key in ("seed", "protocol", "model", "dataset", "data_path", "result_file"):
            raise UserError(
                f"--{key} is the study's; use --seeds, --protocols, --models, "
                "--datasets, --data-path or --out"
            )
    keys: dict[str, Any] = {}
    for key, value in config_keys(parser, rest).items():
        try:
            keys[key] = read_yaml(value)
        except yaml.YAMLError:
            raise UserError(f"--{key}: '{value}' is not a YAML value") from None
    return keys
