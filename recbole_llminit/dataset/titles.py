"""Titles of items, by RecBole's ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_llminit.dataset.items import read_items
from recbole_llminit.utils.errors import UserError, nearest

NO_TITLE = "No Title"  # as the published code calls an item without one


def item_titles(config: Any, dataset: Any) -> list[str]:
    """Return the titles (n_items,), white space as single spaces; the padding's is empty.

    Raises:
        UserError: If there is no ``.item`` file, or if it has no column of the name that
            ``allmrec_title`` gives.
    """
    column = str(config["allmrec_title"])
    file = Path(config["data_path"]) / f"{config['dataset']}.item"
    items = read_items(file, config["ITEM_ID_FIELD"])
    if column not in items:
        raise UserError(
            f"allmrec_title '{column}': {file} has the columns {', '.join(items.columns)}."
            + nearest(column, items.columns)
        )
    tokens = dataset.field2id_token[dataset.iid_field][1:]
    texts = items[column].reindex([str(token) for token in tokens], fill_value="")
    return ["", *(" ".join(str(text).split()) or NO_TITLE for text in texts)]
