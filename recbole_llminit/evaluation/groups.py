"""Compute metrics by user activity, by item popularity, and for warm and cold items, from one full ranking.

The values come from RecBole's metric classes, applied to the users or target items of each group.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from recbole_llminit.evaluation.full_ranking import hits_of, top_items

Ids = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
# The least number of training interactions in each bucket; fixed, so that runs and datasets are comparable.
BUCKETS = (0, 1, 5, 10, 20, 50)


@dataclass(frozen=True)
class Ranking:
    """The top of a full ranking and the target items, with one row for each user."""

    users: Ids  # (n,) RecBole's user id of each row
    top: Ids  # (n, k) item ids, best first; 0 where no unmasked item is left
    rows: Ids  # (m,) row of each target item's user
    positives: Ids  # (m,) item id of each target item


def full_ranking(trainer: Any, loader: Any) -> Ranking:
    """Rank all items for every user of `loader`, with history masked if the protocol masks it.

    Reads `topk` and `USER_ID_FIELD` from the trainer's config.

    Args:
        trainer: RecBole's trainer, with its best model loaded.
        loader: A full-ranking loader.
    """
    trainer.model.eval()
    users, tops, rows, positives, before = [], [], [], [], 0
    for batch in loader:
        with torch.no_grad():
            interaction, scores, positive_rows, positive_items = trainer._full_sort_batch_eval(batch)
        tops.append(top_items(scores, max(trainer.config["topk"])).cpu().numpy())
        users.append(interaction[trainer.config["USER_ID_FIELD"]].cpu().numpy())
        rows.append(positive_rows.cpu().numpy() + before)
        positives.append(positive_items.cpu().numpy())
        before += len(tops[-1])
    return Ranking(*(np.concatenate(parts).astype(np.int64) for parts in (users, tops, rows, positives)))


def values_by_user(
    ranking: Ranking, config: Any, wanted: npt.NDArray[np.bool_] | None = None
) -> dict[str, Values]:
    """Return each top-k metric's value for each user: ``{"recall@10": (n,)}``.

    Metrics that are not computed from hits in a top-k list are left out. Reads `metrics`, `topk` and the
    keys of RecBole's metrics.

    Args:
        ranking: The ranking of n users.
        config: RecBole's config.
        wanted: (n_items,) bool, the items that count as target items; None for all. The value of a user
            without such a target item is NaN.
    """
    from recbole.evaluator.base_metric import TopkMetric
    from recbole.evaluator.collector import DataStruct
    from recbole.evaluator.register import metrics_dict

    hits = _hits(ranking, wanted)
    has_any = (hits[:, -1] > 0).numpy()
    data = DataStruct()
    data.set("rec.topk", hits[torch.from_numpy(has_any)])
    found: dict[str, Values] = {}
    for metric in (metrics_dict[name.lower()] for name in config["metrics"]):
        if issubclass(metric, TopkMetric) and metric.metric_need == ["rec.topk"] and has_any.any():
            computed = metric(ChainMap({}, config.final_config_dict))
            computed.topk_result = lambda name, values: {
                f"{name}@{k}": values[:, k - 1] for k in config["topk"]
            }
            found |= computed.calculate_metric(data)
    return {name: _spread(values, has_any) for name, values in found.items()}


def _hits(ranking: Ranking, wanted: npt.NDArray[np.bool_] | None) -> torch.Tensor:
    """Return (n, k + 1): whether each top item is a wanted target item, and the number of these."""
    counts = np.ones(len(ranking.rows), dtype=bool) if wanted is None else wanted[ranking.positives]
    rows, items = ranking.rows[counts], ranking.positives[counts]
    n_items = int(max(ranking.top.max(), ranking.positives.max())) + 1
    top, rows, items = (torch.from_numpy(ids) for ids in (ranking.top, rows, items))
    return hits_of(top, rows, items, n_items)


def _spread(values: Any, rows: npt.NDArray[np.bool_]) -> Values:
    spread = np.full(len(rows), np.nan)
    spread[rows] = values
    return spread


def group_metrics(ranking: Ranking, train: sp.csr_matrix, config: Any) -> list[dict[str, Any]]:
    """Return one row for each group of users or target items that is not empty.

    Users and target items are grouped by their number of training interactions. For a group of items only
    its items count as target items; the ranked lists are the same. `cold` items have no training
    interaction. Reads the keys of `values_by_user`.

    Args:
        ranking: The full ranking of the test.
        train: (n_users, n_items) counts of training interactions.
        config: RecBole's config.

    Returns:
        Rows with `by` (the criterion), `group`, `users` (their number) and `metrics` (means over users).
    """
    everybody = values_by_user(ranking, config)
    activity = np.asarray(train.sum(axis=1)).ravel()[ranking.users]
    popularity = np.asarray(train.sum(axis=0)).ravel()
    rows = [_row("all", "all", everybody, np.ones(len(ranking.users), dtype=bool))]
    rows += [_row("user activity", name, everybody, inside) for name, inside in _buckets(activity)]
    by_item = [("items", "warm", popularity > 0), ("items", "cold", popularity == 0)]
    by_item += [("item popularity", name, inside) for name, inside in _buckets(popularity)]
    for by, name, wanted in by_item:
        values = values_by_user(ranking, config, wanted)
        if values:
            rows.append(_row(by, name, values, ~np.isnan(next(iter(values.values())))))
    return [row for row in rows if row["users"]]


def _buckets(counts: npt.NDArray[Any]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield each bucket's name and a mask of the counts, (n,), that fall into it."""
    for low, high in zip(BUCKETS, (*BUCKETS[1:], None), strict=True):
        if high is None:
            yield f"{low}+", counts >= low
        else:
            yield (str(low) if high == low + 1 else f"{low}-{high - 1}"), (counts >= low) & (counts < high)


def _row(by: str, group: str, values: dict[str, Values], rows: npt.NDArray[np.bool_]) -> dict[str, Any]:
    metrics = {name: float(value[rows].mean()) for name, value in values.items()} if rows.any() else {}
    return {"by": by, "group": group, "users": int(rows.sum()), "metrics": metrics}
