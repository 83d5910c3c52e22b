"""Amazon reviews and item metadata, in the layouts of the 2014, 2018 and 2023 releases.

Fields as documented at https://jmcauley.ucsd.edu/data/amazon/, https://nijianmo.github.io/amazon/ and
https://amazon-reviews-2023.github.io/. The 2014 metadata are Python literals, the others JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recbole_llminit.prepare.engine import Engine
from recbole_llminit.prepare.files import Parser, parse_json
from recbole_llminit.prepare.sources.base import TEXT, Inputs, Raw, json_table, number, parse_literal

if TYPE_CHECKING:
    from ibis.expr.types import Table


_TEXTS = ("title", "brand", "categories", "description", "features")  # as we call them


@dataclass(frozen=True)
class Layout:
    """Where a release keeps what."""

    user: str
    item: str
    rating: str
    time: str
    ticks: int  # of `time`, a second
    review: str
    texts: tuple[str, ...]  # in the order of ours; the last may be absent
    parse: Parser = parse_json


V2018 = Layout(
    user="reviewerID",
    item="asin",
    rating="overall",
    time="unixReviewTime",
    ticks=1,
    review="reviewText",
    texts=("title", "brand", "category", "description", "feature"),
)
V2014 = replace(V2018, texts=("title", "brand", "categories", "description"), parse=parse_literal)
V2023 = Layout(
    user="user_id",
    item="parent_asin",
    rating="rating",
    time="timestamp",
    ticks=1000,
    review="text",
    texts=("title", "store", "categories", "description", "features"),
)


def read(engine: Engine, inputs: Inputs, layout: Layout) -> Raw:
    """Read reviews and metadata.

    Raises:
        UserError: If a file lacks the layout's fields or holds an unreadable line.
    """
    types = dict.fromkeys(_TEXTS[: len(layout.texts)], TEXT)
    return Raw(_reviews(engine, inputs, layout), _items(engine, inputs, layout), types)


def _reviews(engine: Engine, inputs: Inputs, layout: Layout) -> Table:
    keys = (layout.user, layout.item, layout.rating, layout.time)
    raw = json_table(engine, inputs.files["reviews"], (*keys, layout.review), keys, inputs, layout.parse)
    return raw.select(
        user_id=raw[layout.user],
        item_id=raw[layout.item],
        rating=number(raw[layout.rating]),
        timestamp=number(raw[layout.time]) / layout.ticks,
        review=raw[layout.review],
    )


def _items(engine: Engine, inputs: Inputs, layout: Layout) -> Table:
    fields = (layout.item, *layout.texts)
    raw = json_table(engine, inputs.files["metadata"], fields, (layout.item,), inputs, layout.parse)
    texts = {ours: raw[theirs] for ours, theirs in zip(_TEXTS, layout.texts, strict=False)}
    items = raw.select(item_id=raw[layout.item], **texts)
    # Some titles of 2018 are scripts of the crawled page; its documentation tells to drop them.
    return items.mutate(title=items.title.contains("getTime").ifelse(None, items.title))
