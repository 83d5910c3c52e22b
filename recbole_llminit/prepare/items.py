"""Make one row of clean texts for each item, with a column of reviews from the training part on request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
from ibis import _

from recbole_llminit.prepare import filters
from recbole_llminit.prepare.engine import Engine
from recbole_llminit.prepare.text import clean, flatten

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import Table

_REVIEWS = 20  # per item, the oldest first; their text is longer than an encoder reads


def clean_items(engine: Engine, items: Table, interactions: Table, columns: list[str]) -> Table:
    """Return the items that occur in interactions, each once, with clean text columns.

    If the raw data describe an item more than once, the description whose clean texts sort last is kept.
    So no empty description is preferred to another, and both engines make the same choice.
    """
    batches = engine.batches(items.semi_join(interactions, "item_id").select("item_id", *columns))
    clean = _stored(engine, "items", ["item_id", *columns], (_cleaned(batch, columns) for batch in batches))
    order = [clean[column].desc() for column in columns]
    window = ibis.window(group_by="item_id", order_by=order or [clean.item_id])
    once = clean.mutate(rank=ibis.row_number().over(window)).filter(_.rank == 0)
    return engine.step(once.drop("rank"))


def with_reviews(engine: Engine, items: Table, interactions: Table) -> Table:
    """Add a column ``reviews``: the text of each item's oldest reviews in the training part.

    The training part is every interaction before a user's last two in time, as the ``sequential``
    protocol splits. Under another split some of these reviews belong to validation or test.
    """
    reviews = filters.training_reviews(interactions).order_by("item_id", "timestamp", "user_id", "review")
    rows = (row for batch in engine.batches(reviews) for row in batch.to_pylist())
    texts = _stored(engine, "reviews", ["item_id", "reviews"], _joined(rows))
    joined = items.left_join(texts, "item_id")
    return joined.select(*[items[column] for column in items.columns], texts.reviews)


def _cleaned(batch: pa.RecordBatch, columns: list[str]) -> dict[str, list[str]]:
    rows = {column: [flatten(value, column) for value in batch[column].to_pylist()] for column in columns}
    return {"item_id": batch["item_id"].to_pylist(), **rows}


def _joined(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, list[str]]]:
    for item, group in groupby(rows, lambda row: row["item_id"]):
        texts = [clean(row["review"]) for row, _ in zip(group, range(_REVIEWS), strict=False)]
        yield {"item_id": [item], "reviews": [clean(" ".join(texts))]}


def _stored(engine: Engine, name: str, columns: list[str], parts: Iterable[dict[str, list[str]]]) -> Table:
    """Write columns of strings as Parquet and read them back as a table."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(column, pa.string()) for column in columns])
    file: Path = engine.work / f"{name}.parquet"
    with parquet.ParquetWriter(file, schema) as writer:
        for part in parts:
            writer.write_table(pa.table(part, schema=schema))
    return engine.parquet(file)
