"""Show some real users: their history, their target items, and the top lists of two models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from recbole_llminit.dataset.titles import read_titles
from recbole_llminit.report.entries import Entry
from recbole_llminit.report.page import render
from recbole_llminit.run.diagnostics import users_file
from recbole_llminit.utils.errors import UserError

_USERS, _HISTORY = 12, 15  # how many users are shown, and how many items of each history


def pair_of(entries: Sequence[Entry]) -> tuple[Entry, Entry] | None:
    """Return a baseline and the setting of the same place and seed with the best validation score.

    The users' files of both must be stored; without such a pair the result is None.
    """
    stored = [entry for entry in entries if entry.has_users]
    for base in sorted((entry for entry in stored if entry.is_base), key=lambda entry: entry.seed):
        same = [entry for entry in stored if (entry.place, entry.seed) == (base.place, base.seed)]
        others = [entry for entry in same if not entry.is_base]
        if others:
            return base, max(others, key=_valid)
    return None


def _valid(entry: Entry) -> float:
    scores: list[float] = (entry.result.get("curve") or {}).get("valid") or [0.0]
    return max(scores)


def examples(base: Entry, other: Entry) -> Markup:
    """Return HTML that shows the lists of both models for users drawn at random, the same ones every time.

    Args:
        base: The entry of the left lists; its users' file is stored.
        other: The entry of the right lists; its users' file is stored.
    """
    tables = {
        entry.setting: pd.read_parquet(users_file(entry.file)).set_index("user") for entry in (base, other)
    }
    left, right = tables.values()
    common = sorted(right.index.intersection(left.index))
    chosen = np.random.default_rng(0).choice(common, min(_USERS, len(common)), replace=False)
    titles = titles_of(base.result)
    note = (
        f"{len(chosen)} of {len(common)} users, drawn at random, of {base.dataset} under the protocol "
        f"'{base.protocol}' with {base.group}, seed {base.seed}. Green: the target item."
    )
    users = [
        _user(user, {name: table.loc[user] for name, table in tables.items()}, titles) for user in chosen
    ]
    return render("examples", note=note, users=users)


def titles_of(result: Mapping[str, Any]) -> dict[str, str]:
    """Return titles by item token from the dataset's ``.item`` file; empty if file or column is missing."""
    try:
        return read_titles(result["config"])
    except UserError:
        return {}


def _user(name: str, rows: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page shows of a user.

    Args:
        name: The user's token.
        rows: The user's row in the users' file of each setting; the baseline comes first.
        titles: Item titles by token; an item without a title is shown by its token.
    """

    def shown(token: str) -> str:
        return titles.get(token) or token

    base = next(iter(rows.values()))
    history, targets = list(base["history"]), set(base["positives"])
    return {
        "name": name,
        "targets": [shown(token) for token in sorted(targets)],
        "history": [shown(token) for token in history[:_HISTORY]],
        "more": max(0, len(history) - _HISTORY),
        "lists": {
            setting: [(shown(token), token in targets) for token in row["top"]]
            for setting, row in rows.items()
        },
    }
