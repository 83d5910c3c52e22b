"""Functions that the command lines of several verbs use: parsers, common flags, and types of values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from recbole_llminit.utils.errors import UserError


def verb_parser(prog: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Return the parser of a verb.

    Args:
        prog: The command that the user types.
        description: One sentence that describes the verb.
        examples: Text that is shown unchanged below the flags; ``%(prog)s`` stands for `prog`.
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
    """Add ``--quiet`` to a parser, or to a group of its flags, with `what` as its help."""
    parser.add_argument("--quiet", "-q", action="store_true", help=what)


def whole(least: int) -> Callable[[str], int]:
    """Return an argparse type that reads whole numbers of at least `least` (0 or more)."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {least} on")
        return int(text)

    return read


def config_keys(parser: argparse.ArgumentParser, rest: list[str]) -> dict[str, str]:
    """Return the keys and values of the ``--key=value`` arguments that a parser left over.

    Arguments of another form end the program with an error, because RecBole would silently drop them.

    Raises:
        UserError: If a flag of ``run`` is among the arguments.
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
