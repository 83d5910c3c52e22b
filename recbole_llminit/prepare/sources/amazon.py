"""Read Amazon reviews and item metadata, in the layouts of the 2014, 2018 and 2023 releases.

The fields are documented at https://jmcauley.ucsd.edu/data/amazon/, https://nijianmo.github.io/amazon/ and
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


_TEXTS = ("title", "brand", "categories", "description", "features")  # as the dataset names them


@dataclass(frozen=True)
class Layout:
    """The names of the fields in a release."""

    user: str
    item: str
    rating: str
    time: str
    ticks: int  # units of `time` per second
    review: str
    texts: tuple[str, ...]  # in the order of _TEXTS; the last may be absent
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
    """Read the reviews and metadata of a release.

    Raises:
        UserError: If a file lacks fields of the layout or contains an unreadable line.
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
    # Some titles of 2018 are scripts of the crawled page; the release's documentation says to drop them.
    return items.mutate(title=items.title.contains("getTime").ifelse(None, items.title))
