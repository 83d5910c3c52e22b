"""Optional diagnostics of a run: metrics by group, each user's ranking, singular values of the embeddings."""

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
_SHOWN = 10  # length of the ranking that is saved for each user


def check(config: Any) -> None:
    """Check the keys of the diagnostics.

    Reads ``group_metrics``, ``table_statistics``, ``save_users``, ``result_file``, ``eval_args``.

    Raises:
        UserError: If a key is neither true nor false, ``group_metrics`` or ``save_users`` is set and the test
            is no full ranking, or ``save_users`` is set without ``result_file``.
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
    """Return group metrics and embedding statistics for the result file, and write each user's ranking.

    Reads ``group_metrics``, ``table_statistics``, ``save_users``, ``single_spec``, ``result_file``,
    ``metrics``, ``topk``.

    Args:
        trainer: The run's trainer, with its best model loaded.
        train: The training dataset. That of a sequential model has one row per target item, so the first
            item of each sequence is not counted.
        test: The test's data loader.

    Returns:
        ``groups`` if ``group_metrics`` is set, and ``tables`` if ``table_statistics`` is.
    """
    config = trainer.config
    if not config["single_spec"]:  # each of several processes ranks a part of the users only
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
    """Return the file of a run's users, which lies beside its result file."""
    return result_file.with_suffix(".users.parquet")


def save_users(users: pd.DataFrame, result_file: Path) -> None:
    """Write the table of a run's users to `users_file` in one step."""
    with replacing(users_file(result_file)) as temporary:
        users.to_parquet(temporary, index=False)


def users_table(ranking: Ranking, train: Any, config: Any) -> pd.DataFrame:
    """Return one row per test user: user, training history, target items, top ten items, and metrics.

    Users and items are given as tokens. Reads ``metrics``, ``topk``.
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
