"""Filters of interactions, as Ibis expressions: from a table to a table.

Tables have ``user_id``, ``item_id`` and, where known, ``rating`` and ``timestamp`` in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ibis
from ibis import _

if TYPE_CHECKING:
    from ibis.expr.types import Table

_HASHES = 16**8  # as many values as eight hexadecimal digits have


def complete(table: Table) -> Table:
    """Keep interactions that name a user and an item."""
    named = [(_[c].notnull()) & (_[c] != "") for c in ("user_id", "item_id")]
    return table.filter(named)


def sample(table: Table, share: float, seed: int) -> Table:
    """Keep a share of the users, with all they did; a user is in or out by a hash of seed and id."""
    first = (ibis.literal(f"{seed}:") + table.user_id).hexdigest("md5").substr(0, 8)
    return table.filter(first < f"{int(share * _HASHES):08x}") if share < 1 else table


def rated(table: Table, minimum: float) -> Table:
    """Keep interactions with a rating of at least `minimum`."""
    return table.filter(_.rating >= minimum)


def distinct(table: Table, keep: str) -> Table:
    """Keep the ``first`` or ``last`` interaction in time of each user and item.

    At the same time the better rating goes first, and then the review in alphabetical order, so that the
    choice depends on the data alone.
    """
    by = [c for c in ("timestamp", "rating", "review") if c in table.columns]
    order = [
        _[c].desc(nulls_first=False) if (c == "rating") != (keep == "last") else _[c].asc(nulls_first=False)
        for c in by
    ]
    window = ibis.window(group_by=["user_id", "item_id"], order_by=order or [_.user_id])
    return table.mutate(rank=ibis.row_number().over(window)).filter(_.rank == 0).drop("rank")


def within(table: Table, since: float | None, until: float | None) -> Table:
    """Keep interactions from `since` on and before `until`, in seconds since 1970."""
    if since is not None:
        table = table.filter(_.timestamp >= since)
    return table if until is None else table.filter(_.timestamp < until)


def described(table: Table, items: Table, columns: list[str], minimum: int) -> Table:
    """Keep interactions with items whose text columns hold at least `minimum` characters together."""
    characters = sum((items[column].length() for column in columns), ibis.literal(0))
    return table.semi_join(items.filter(characters >= minimum), "item_id")


def k_core(table: Table, k: int, compute: Callable[[Table], Table], size: Callable[[Table], int]) -> Table:
    """Keep the largest part in which every user and every item has at least `k` interactions.

    Users and items with fewer are removed until none is left to remove; the result does not depend on
    the order. It is what RecBole's ``user_inter_num_interval`` and ``item_inter_num_interval`` of
    ``[k,inf)`` keep.

    Args:
        table: Interactions.
        k: At least so many a user and an item.
        compute: Computes a table and returns it, so that a round starts from the round before.
        size: Counts a table's rows.
    """
    before, after = -1, size(table)
    while before != after:
        before = after
        for column in ("user_id", "item_id"):
            often = table.group_by(column).agg(n=_.count()).filter(_.n >= k)
            table = table.semi_join(often, column)
        table = compute(table)
        after = size(table)
    return table


def training_reviews(table: Table) -> Table:
    """Return ``item_id`` and ``review`` of each user's interactions before the last two in time.

    These are the training part of a leave-one-out split in order of time, whatever the order of
    interactions at the same second: a user's whose last two can't be told from others keep none of them.
    """
    window = ibis.window(group_by="user_id", order_by=_.timestamp.desc(nulls_first=True))
    ranked = table.mutate(rank=ibis.row_number().over(window))
    second = ranked.filter(_.rank <= 1).group_by("user_id").agg(held=_.timestamp.min(), n=_.count())
    joined = ranked.join(second.filter(_.n == 2).drop("n"), "user_id")
    return joined.filter(_.timestamp < _.held).select("item_id", "timestamp", "user_id", "review")
