"""Some real users: what they had, what was to be found, and two models' lists side by side."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_llminit.dataset.items import read_items
from recbole_llminit.report.entries import Entry
from recbole_llminit.run.diagnostics import users_file
from recbole_llminit.utils.errors import UserError

_PEOPLE, _HISTORY = 12, 15


def pair_of(entries: Sequence[Entry]) -> tuple[Entry, Entry] | None:
    """Return a base and, of its seed, the setting that validation likes best; both with stored users."""
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


def people(base: Entry, other: Entry) -> str:
    """Return users drawn at random, the same ones every time, with both models' lists as HTML.

    Args:
        base: The entry of the left lists, its users stored.
        other: The entry of the right lists, its users stored.
    """
    ours, theirs = (pd.read_parquet(users_file(entry.file)).set_index("user") for entry in (other, base))
    common = sorted(ours.index.intersection(theirs.index))
    chosen = np.random.default_rng(0).choice(common, min(_PEOPLE, len(common)), replace=False)
    titles = titles_of(base.result)
    names = (base.setting, other.setting)
    note = (
        f"{len(chosen)} of {len(common)} users, drawn at random, of {base.dataset} under the protocol "
        f"'{base.protocol}' with {base.group}, seed {base.seed}. Green: the item that was to be found."
    )
    cards = "".join(_card(user, theirs.loc[user], ours.loc[user], names, titles) for user in chosen)
    return f'<p class="note">{html.escape(note)}</p>{cards}'


def titles_of(result: Mapping[str, Any]) -> dict[str, str]:
    """Return the items' titles from the dataset's ``.item`` file; empty without such a file or column."""
    config = result["config"]
    file = Path(config["data_path"]) / f"{result['dataset']}.item"
    try:
        items = read_items(file, config["ITEM_ID_FIELD"])
    except UserError:
        return {}
    column = next((name for name in map(str, items.columns) if "title" in name or name == "name"), None)
    return {str(token): text for token, text in items[column].items() if text} if column else {}


def _card(user: str, base: Any, other: Any, names: tuple[str, str], titles: Mapping[str, str]) -> str:
    history, wanted = list(base["history"]), set(base["positives"])
    more = f"<li>and {len(history) - _HISTORY} more</li>" if len(history) > _HISTORY else ""
    had = "".join(_item(token, titles) for token in history[:_HISTORY])
    found = ", ".join(titles.get(token, token) for token in sorted(wanted))
    lists = "".join(
        f"<div><h4>{html.escape(name)}</h4><ol>"
        + "".join(_item(token, titles, token in wanted) for token in one["top"])
        + "</ol></div>"
        for name, one in zip(names, (base, other), strict=True)
    )
    return (
        f'<div class="user"><h3>{html.escape(user)}</h3><p>To be found: <b>{html.escape(found)}</b></p>'
        f'<div class="lists"><div><h4>history</h4><ul>{had}{more}</ul></div>{lists}</div></div>'
    )


def _item(token: str, titles: Mapping[str, str], found: bool = False) -> str:
    return f"<li{' class=found' if found else ''}>{html.escape(titles.get(token, token))}</li>"
