"""Read the titles of items, by item token or by RecBole's item id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_llminit.dataset.items import read_items
from recbole_llminit.dataset.places import atomic_file
from recbole_llminit.utils.errors import UserError, nearest

NO_TITLE = "No Title"  # the title that A-LLMRec's published code gives to an item without one


def read_titles(config: Any, key: str | None = None) -> dict[str, str]:
    """Return the titles in the ``.item`` file of a run, by item token; items without a title are left out.

    Reads `data_path`, `ITEM_ID_FIELD` and the key that `key` names.

    Args:
        config: RecBole's config, or a mapping with these keys.
        key: The config key that names the title column. None selects the first column whose name
            contains ``title`` or is ``name``; if there is no such column, no titles are returned.

    Raises:
        UserError: If there is no ``.item`` file, or if it has no column of the given name.
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
    """Return a list of the n_items titles by RecBole's item id, with white space as single spaces.

    The padding item's title is empty; an item without a title gets `NO_TITLE`. The function reads the
    same keys as :func:`read_titles` and raises the same errors.
    """
    titles = read_titles(config, key)
    tokens = dataset.field2id_token[dataset.iid_field][1:]
    return ["", *(" ".join(titles.get(str(token), "").split()) or NO_TITLE for token in tokens)]
