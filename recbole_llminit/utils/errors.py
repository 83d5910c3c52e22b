"""The exception for wrong input by the user, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

NO_SPACE = "free some space, or write to another disk"


class UserError(ValueError):
    """An error whose one-line message names the wrong value, what was expected, and how to fix it.

    The command line prints the message and exits with code 2, without a traceback.
    """


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest of `choices`, or an empty string if none is close."""
    by_lower = {choice.lower(): choice for choice in choices}
    match = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[match[0]]}'?" if match else ""
