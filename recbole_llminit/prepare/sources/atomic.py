"""Read RecBole's atomic files, in order to filter them again or give them a card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recbole_llminit.prepare.engine import Engine
from recbole_llminit.prepare.sources.base import Inputs, Raw, number
from recbole_llminit.utils.errors import UserError

if TYPE_CHECKING:
    from ibis.expr.types import Table


def read(engine: Engine, inputs: Inputs) -> Raw:
    """Read the only ``.inter`` file of a folder, and the ``.item`` file of the same name if it exists.

    Of the interactions' columns ``user_id``, ``item_id``, ``rating`` and ``timestamp`` are kept; the
    items' columns keep their types.

    Raises:
        UserError: If there is not exactly one ``.inter`` file, or if a file lacks an id column.
    """
    folder = inputs.files["path"]
    found = sorted(folder.glob("*.inter"))
    if len(found) != 1:
        raise UserError(f"{folder} holds {len(found)} .inter files; expected one")
    interactions, _ = _open(engine, found[0], ("user_id", "item_id"))
    numbers = {c: number(interactions[c]) for c in ("rating", "timestamp") if c in interactions.columns}
    interactions = interactions.select("user_id", "item_id", **numbers)
    file = found[0].with_suffix(".item")
    if not file.is_file():
        return Raw(interactions, None, {})
    items, types = _open(engine, file, ("item_id",))
    return Raw(interactions, items, {name: kind for name, kind in types.items() if name != "item_id"})


def _open(engine: Engine, file: Path, required: tuple[str, ...]) -> tuple[Table, dict[str, str]]:
    """Open an atomic file; return it with column names without types, and the type of each column."""
    raw = engine.csv(file, "\t", quoted=False)
    types = {}
    for header in raw.columns:
        name, _, kind = header.partition(":")
        types[name] = kind or "token"
    for name in required:
        if name not in types:
            raise UserError(f"{file} has no column {name}:token (it has {', '.join(raw.columns)})")
    return raw.rename({header.partition(":")[0]: header for header in raw.columns}), types
