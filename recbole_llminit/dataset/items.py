"""Item texts: read RecBole's ``.item`` file, fill a template over its columns, and hash the texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Formatter

import pandas as pd

from recbole_llminit.dataset.card import read_card
from recbole_llminit.utils.errors import UserError, nearest

_SEPARATORS = " .,;:|/-"


def read_items(file: Path, id_field: str = "item_id") -> pd.DataFrame:
    """Read an atomic ``.item`` file as strings, indexed by item token.

    RecBole's types are removed from the column names: ``title:token_seq`` becomes ``title``.

    Raises:
        UserError: If the file is missing or malformed, has no id column or contains an item twice.
    """
    if not file.is_file():
        raise UserError(f"no item texts: {file} does not exist; expected RecBole's .item file")
    try:
        items = pd.read_csv(
            file, sep="\t", dtype=str, keep_default_na=False, quoting=3, encoding="utf-8", index_col=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not a table of tab-separated UTF-8: {error}") from None
    items.columns = pd.Index([str(column).split(":")[0] for column in items.columns])
    if id_field not in items:
        raise UserError(f"{file} has no column {id_field}:token (it has {', '.join(items.columns)})")
    items = items.set_index(id_field)
    if items.index.has_duplicates:
        twice = items.index[items.index.duplicated()][0]
        raise UserError(f"{file} holds item '{twice}' more than once; keep one row per item")
    return items


def template_fields(template: str, columns: Iterable[str]) -> list[str]:
    """Return the columns that a template like ``"{title}. {brand}"`` names.

    Raises:
        UserError: If the template is malformed, or if it names no column or a column that does not exist.
    """
    columns = list(columns)
    try:
        fields = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise UserError(f"template '{template}': {error}") from None
    for field in fields:
        if field not in columns:
            raise UserError(
                f"template '{template}': no column '{field}' (there are {', '.join(columns)})."
                + nearest(field, columns)
            )
    if not fields:
        raise UserError(f"template '{template}' names no column; write e.g. '{{{columns[0]}}}'")
    return fields


def render(template: str, row: Mapping[str, str]) -> str:
    """Return the text of an item: the template, filled with the values of `row`.

    An empty field is left out together with the literal text before it: ``"{title}. {brand}"`` gives the
    title alone if the brand is empty, the brand alone if the title is empty, and the empty string if
    both are. White space within a value becomes single spaces.
    """
    text, tail = "", ""
    for literal, field, _, _ in Formatter().parse(template):
        if field is None:
            tail = literal
        elif value := " ".join(str(row[field]).split()):
            text += (literal if text else literal.lstrip(_SEPARATORS)) + value
    return text + tail if text else ""


def texts_in_order(items: pd.DataFrame, template: str, ids: Sequence[str]) -> list[str]:
    """Render the texts of the items `ids`, in that order; an item that `items` lacks gets the empty text."""
    fields = template_fields(template, items.columns)
    rows = items.reindex(list(ids), fill_value="")[fields]
    return [render(template, dict(zip(fields, row, strict=True))) for row in rows.to_numpy()]


def texts_hash(texts: Iterable[str]) -> str:
    """Return the SHA-256 of texts in their order, with a record separator after each."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8") + b"\x1e")
    return digest.hexdigest()


def coverage(items: pd.DataFrame, fields: Iterable[str]) -> dict[str, float]:
    """Return, for each field, the share of items in which it is not empty."""
    return {field: round(float((items[field].str.strip() != "").mean()), 4) for field in fields}


def template_of(file: Path) -> str:
    """Return the template of the item texts from the data card beside an ``.item`` file.

    Raises:
        UserError: If there is no card, or the card has no template; the message suggests one.
    """
    card = read_card(file.parent)
    if card and card.template:
        return card.template
    columns = read_items(file).columns
    raise UserError(
        f"--template is missing: {file} has the columns {', '.join(columns)}, e.g. "
        f'"{". ".join(f"{{{column}}}" for column in columns)}"'
    )
