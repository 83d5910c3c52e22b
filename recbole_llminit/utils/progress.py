"""What long work prints while it goes on."""

from __future__ import annotations


def say(line: str, quiet: bool) -> None:
    """Print a line unless the user wants none."""
    if not quiet:
        print(line, flush=True)
