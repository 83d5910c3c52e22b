"""The command line ``recbole-llminit <verb>``; `run` is also the entry point of run_recbole_llminit.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from recbole_llminit import __version__
from recbole_llminit.cli.encode import encode
from recbole_llminit.cli.experiment import experiment
from recbole_llminit.cli.guard import guarded
from recbole_llminit.cli.prepare import prepare
from recbole_llminit.cli.report import report
from recbole_llminit.cli.run import run
from recbole_llminit.cli.tune import tune

__all__ = ["encode", "experiment", "guarded", "main", "prepare", "report", "run", "tune"]

_VERBS = {
    "prepare": prepare,
    "encode": encode,
    "run": run,
    "tune": tune,
    "experiment": experiment,
    "report": report,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``recbole-llminit`` and return the exit code.

    It is 0 on success, 2 if the input is wrong, and 130 after a keyboard interrupt.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="recbole-llminit",
        description="Start RecBole's recommenders from language-model vectors of the items' text.",
        epilog="verbs:\n" + "\n".join(f"  {verb:11}{command.__doc__}" for verb, command in _VERBS.items()),
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("verb", choices=_VERBS, help="each has its own --help with an example")
    verb = parser.parse_args(arguments[:1]).verb
    return _VERBS[verb](arguments[1:])
