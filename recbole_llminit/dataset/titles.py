"""Titles of items, by token and by RecBole's ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_llminit.dataset.items import read_items
from recbole_llminit.dataset.places import atomic_file
from recbole_llminit.utils.errors import UserError, nearest

NO_TITLE = "No Title"  # as the published code calls an item without one


def read_titles(config: Any, key: str | None = None) -> dict[str, str]:
    """Return the titles of a run's items that have one, by token, as they stand in its ``.item`` file.

    Reads `data_path`, `ITEM_ID_FIELD` and `key`.

    Args:
        config: RecBole's, or a mapping with these keys.
        key: The key that names the column. None: the first column whose name speaks of a title or is
            ``name``; without such a column there are no titles.

    Raises:
        UserError: If there is no ``.item`` file, or if it has no column of the name that `key` gives.
    """
    file = atomic_file(Path(config["data_path"]), "item")
    items = read_items(file, config["ITEM_ID_FIELD"])
    columns = list(items.columns)
    if key is None:
        column = next((name for name in columns if "title" in name or name == "name"), None)
    elif (column := str(config[key])) not in columns:
        raise UserError(
            f"{key} '{column}': {file} has the columns {', '.join(columns)}." + nearest(column, columns)
        )
    return {str(token): text for token, text in items[column].items() if text} if column else {}


def item_titles(config: Any, dataset: Any, key: str) -> list[str]:
    """Return the titles (n_items,) by RecBole's id, white space as single spaces; the padding's is empty.

    Reads what :func:`read_titles` reads, and raises what it raises.
    """
    titles = read_titles(config, key)
    tokens = dataset.field2id_token[dataset.iid_field][1:]
    return ["", *(" ".join(titles.get(str(token), "").split()) or NO_TITLE for token in tokens)]
