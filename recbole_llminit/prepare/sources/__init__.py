"""Sources of raw data: each module reads one kind into a table of interactions and a table of items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from recbole_llminit.prepare.engine import Engine
from recbole_llminit.prepare.sources import amazon, atomic, movielens, synthetic, table
from recbole_llminit.prepare.sources.base import Inputs, Raw

__all__ = ["SOURCES", "Inputs", "Raw", "Source"]


@dataclass(frozen=True)
class Source:
    """A kind of raw data: how it is read, and which inputs the user has to give.

    Attributes:
        read: Function that reads the inputs into the raw tables.
        version: Description of the data for the card.
        files: Required inputs, among ``reviews``, ``metadata`` and ``path``.
        patterns: Patterns of the files that are read in a folder ``path``.
        fields: Text columns of the default template, which leaves out those that the items lack.
    """

    read: Callable[[Engine, Inputs], Raw]
    version: str
    files: tuple[str, ...] = ("reviews", "metadata")
    patterns: tuple[str, ...] = ()
    fields: tuple[str, ...] = ("title", "brand", "categories")


SOURCES: Mapping[str, Source] = {
    "amazon-2014": Source(
        partial(amazon.read, layout=amazon.V2014), "Amazon reviews, 2014 release (McAuley et al., SIGIR 2015)"
    ),
    "amazon-2018": Source(
        partial(amazon.read, layout=amazon.V2018), "Amazon reviews, 2018 release (Ni et al., EMNLP 2019)"
    ),
    "amazon-2023": Source(
        partial(amazon.read, layout=amazon.V2023), "Amazon reviews, 2023 release (Hou et al., 2024)"
    ),
    "movielens": Source(
        movielens.read,
        "MovieLens (GroupLens)",
        files=("path",),
        patterns=("u.data", "u.item", "u.genre", "ratings.*", "movies.*"),
        fields=("title", "genres"),
    ),
    "table": Source(table.read, "a table of interactions", files=("reviews",)),
    "atomic": Source(atomic.read, "RecBole atomic files", files=("path",), patterns=("*.inter", "*.item")),
    "synthetic": Source(synthetic.read, "SYNTHETIC: generated, no real users or items", files=()),
}
