"""The one exception that means: the user's input is wrong, and here is how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

NO_SPACE = "free some space, or write to another disk"


class UserError(ValueError):
    """Say in one line which value is wrong, what was expected and how to fix it.

    The command line prints the message and exits with 2; no traceback is shown.
    """


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest of `choices`, or an empty string."""
    by_lower = {choice.lower(): choice for choice in choices}
    match = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[match[0]]}'?" if match else ""
