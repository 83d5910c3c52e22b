"""Filters of interactions: functions that take an Ibis table and return one.

Tables have the columns ``user_id``, ``item_id`` and, where known, ``rating`` and ``timestamp`` in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ibis
from ibis import _

if TYPE_CHECKING:
    from ibis.expr.types import Table

_HASHES = 16**8  # number of values of eight hexadecimal digits


def complete(table: Table) -> Table:
    """Keep interactions that have both a user and an item."""
    named = [(_[c].notnull()) & (_[c] != "") for c in ("user_id", "item_id")]
    return table.filter(named)


def sample(table: Table, share: float, seed: int) -> Table:
    """Keep all interactions of a share of the users, who are chosen by a hash of `seed` and user id."""
    first = (ibis.literal(f"{seed}:") + table.user_id).hexdigest("md5").substr(0, 8)
    return table.filter(first < f"{int(share * _HASHES):08x}") if share < 1 else table


def rated(table: Table, minimum: float) -> Table:
    """Keep interactions with a rating of at least `minimum`."""
    return table.filter(_.rating >= minimum)


def distinct(table: Table, keep: str) -> Table:
    """Keep the ``first`` or ``last`` interaction in time of each (user, item) pair.

    Interactions of the same time are ordered by rating, the highest first, and then alphabetically by
    review, so that the choice depends on the data alone.
    """
    by = [c for c in ("timestamp", "rating", "review") if c in table.columns]
    order = [
        _[c].desc(nulls_first=False) if (c == "rating") != (keep == "last") else _[c].asc(nulls_first=False)
        for c in by
    ]
    window = ibis.window(group_by=["user_id", "item_id"], order_by=order or [_.user_id])
    return table.mutate(rank=ibis.row_number().over(window)).filter(_.rank == 0).drop("rank")


def within(table: Table, since: float | None, until: float | None) -> Table:
    """Keep interactions at or after `since` and before `until`, both in seconds since 1970."""
    if since is not None:
        table = table.filter(_.timestamp >= since)
    return table if until is None else table.filter(_.timestamp < until)


def described(table: Table, items: Table, columns: list[str], minimum: int) -> Table:
    """Keep interactions with items whose text columns together have at least `minimum` characters."""
    characters = sum((items[column].length() for column in columns), ibis.literal(0))
    return table.semi_join(items.filter(characters >= minimum), "item_id")


def k_core(table: Table, k: int, compute: Callable[[Table], Table], size: Callable[[Table], int]) -> Table:
    """Keep the largest subset in which every user and every item has at least `k` interactions.

    Users and items with fewer are removed repeatedly until there are none; the result does not depend on
    the order of removal. RecBole keeps the same interactions with ``user_inter_num_interval`` and
    ``item_inter_num_interval`` set to ``[k,inf)``.

    Args:
        table: Interactions.
        k: Least number of interactions of a user and of an item.
        compute: Computes a table and returns it, so that each round starts from the result of the last.
        size: Returns the number of rows of a table.
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
    """Return the reviews of each user's interactions before the user's last two in time.

    The result has the columns ``item_id``, ``timestamp``, ``user_id`` and ``review``. These interactions
    belong to the training part of a leave-one-out split in order of time. Interactions at the same time
    as a user's second-to-last are left out too, because a split may take them for one of the last two.
    """
    window = ibis.window(group_by="user_id", order_by=_.timestamp.desc(nulls_first=True))
    ranked = table.mutate(rank=ibis.row_number().over(window))
    second = ranked.filter(_.rank <= 1).group_by("user_id").agg(held=_.timestamp.min(), n=_.count())
    joined = ranked.join(second.filter(_.n == 2).drop("n"), "user_id")
    return joined.filter(_.timestamp < _.held).select("item_id", "timestamp", "user_id", "review")
