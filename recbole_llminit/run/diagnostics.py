"""Diagnostics of a run, which its keys ask for: metrics by group, each user's list, spectra of the tables."""

from __future__ import annotations

from logging import getLogger
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_llminit.evaluation.groups import Ranking, full_ranking, group_metrics, values_by_user
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.values import flag
from recbole_llminit.utils.writing import replacing

KEYS = ("group_metrics", "table_statistics", "save_users")
_SHOWN = 10  # items of a user's list that are kept


def check(config: Any) -> None:
    """Check the keys of the diagnostics.

    Reads ``group_metrics``, ``table_statistics``, ``save_users``, ``result_file``, ``eval_args``.

    Raises:
        UserError: If one is neither true nor false, or groups or users are asked for and the test does not
            rank all items.
    """
    for key in KEYS:
        if config[key] is not None:
            flag(config, key)
    mode = config["eval_args"]["mode"]["test"]
    for key in ("group_metrics", "save_users"):
        if config[key] and mode != "full":
            raise UserError(f"{key} needs a full ranking; eval_args has mode {mode}")
    if config["save_users"] and not config["result_file"]:
        raise UserError("save_users writes beside result_file; set result_file too")


def diagnose(trainer: Any, train: Any, test: Any) -> dict[str, Any]:
    """Return what ``group_metrics`` and ``table_statistics`` ask for, and write what ``save_users`` asks for.

    Args:
        trainer: The run's trainer, its best model loaded.
        train: The training dataset; a sequential model's holds one row per item to be predicted, so the
            first item of each sequence does not count.
        test: The loader of the test.
    """
    config = trainer.config
    if not config["single_spec"]:  # each process has a part of the users
        getLogger().warning(f"{', '.join(KEYS)} need a run of one process")
        return {}
    found: dict[str, Any] = {}
    if config["group_metrics"] or config["save_users"]:
        ranking = full_ranking(trainer, test)
        if config["group_metrics"]:
            found["groups"] = group_metrics(ranking, train.inter_matrix(form="csr"), config)
        if config["save_users"]:
            save_users(users_table(ranking, train, config), Path(config["result_file"]))
    if config["table_statistics"]:
        from recbole_llminit.evaluation.spectrum import table_statistics

        found["tables"] = table_statistics(trainer.model)
    return found


def users_file(result_file: Path) -> Path:
    """Return the file of a run's users: beside its result file."""
    return result_file.with_suffix(".users.parquet")


def save_users(users: pd.DataFrame, result_file: Path) -> None:
    """Write a run's users in one step."""
    with replacing(users_file(result_file)) as temporary:
        users.to_parquet(temporary, index=False)


def users_table(ranking: Ranking, train: Any, config: Any) -> pd.DataFrame:
    """Return one row per user of the test: token, training history, items to be found, list, metrics.

    Items are given as tokens; the list holds the first ten.
    """
    user_tokens, item_tokens = (train.field2id_token[name] for name in (train.uid_field, train.iid_field))
    history = train.inter_matrix(form="csr")
    history.sort_indices()
    rows = range(len(ranking.users))
    wanted = pd.Series(ranking.positives).groupby(ranking.rows).agg(list)
    seen = [history.indices[history.indptr[u] : history.indptr[u + 1]] for u in ranking.users]
    return pd.DataFrame(
        {
            "user": [str(user_tokens[user]) for user in ranking.users],
            "history": [[str(item_tokens[item]) for item in items] for items in seen],
            "positives": [[str(item_tokens[item]) for item in wanted[row]] for row in rows],
            "top": [[str(item_tokens[i]) for i in ranking.top[row, :_SHOWN] if i] for row in rows],
        }
        | values_by_user(ranking, config)
    )
