"""Progress messages of long operations."""

from __future__ import annotations


def say(line: str, quiet: bool) -> None:
    """Print a line at once, unless `quiet` is true."""
    if not quiet:
        print(line, flush=True)
