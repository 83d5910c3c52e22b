"""What the verbs' command lines share: how a parser is made, common flags, and numbers."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from recbole_llminit.utils.errors import UserError


def verb_parser(prog: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Return the parser of a verb.

    Args:
        prog: What the user types.
        description: The verb in one sentence.
        examples: Shown as they are below the flags; ``%(prog)s`` stands for `prog`.
    """
    return argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=examples,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_data_path(parser: argparse._ActionsContainer) -> None:
    """Add ``--data-path`` to a parser, or to a group of its flags."""
    parser.add_argument("--data-path", type=Path, default=Path("atomic_data"), help="folder of datasets")


def add_quiet(parser: argparse._ActionsContainer, what: str = "print nothing") -> None:
    """Add ``--quiet`` to a parser, or to a group of its flags; `what` says what it does."""
    parser.add_argument("--quiet", "-q", action="store_true", help=what)


def whole(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` (0 or more) on."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {least} on")
        return int(text)

    return read


def config_keys(parser: argparse.ArgumentParser, rest: list[str]) -> dict[str, str]:
    """Read the ``--key=value`` arguments that a parser left over; RecBole would drop any other form.

    Raises:
        UserError: If a flag of ``run`` is among them.
    """
    from recbole_llminit.run.validate import OWN_FLAGS

    keys = {}
    for argument in rest:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals:
            parser.error(f"argument '{argument}': write every key as --key=value")
        if key in OWN_FLAGS:
            raise UserError(f"argument '{argument}' is a flag of run, and no key of a config")
        keys[key] = value
    return keys
