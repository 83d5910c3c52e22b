"""Fix the candidates of a sampled evaluation: the same for every model, batch size and validation.

RecBole draws the negatives of ``uni19`` anew at each evaluation, from the global generator and from all
items but the target item. Here they are drawn once from the run's seed, among the items that the user has
not interacted with, and kept in a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.writing import replacing

Ids = npt.NDArray[np.int64]
PHASES = ("train", "valid", "test")


class FixedCandidates:
    """A replacement for RecBole's sampler that returns the fixed negatives of each (user, target item)."""

    def __init__(self, phase: str, others: dict[tuple[int, int], Ids]) -> None:
        self.phase = phase
        self._others = others

    def sample_by_user_ids(self, user_ids: Ids, item_ids: Ids, num: int) -> torch.Tensor:
        """Return (num * n,) item ids in RecBole's order: the first of each row, then the second, ..."""
        rows = [self._others[int(u), int(i)][:num] for u, i in zip(user_ids, item_ids, strict=True)]
        return torch.from_numpy(np.stack(rows, axis=1).ravel())


def fixed_samplers(config: Any, dataset: Any, built: list[Any], samplers: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the samplers, with `FixedCandidates` for each evaluation phase that ranks sampled items.

    The candidates are read from ``candidates_file`` if it exists, and otherwise drawn and written to it.
    Reads `candidates_file`, `seed`, `valid_neg_sample_args` and `test_neg_sample_args`.

    Args:
        config: RecBole's config.
        dataset: The whole dataset.
        built: Its training, validation and test parts.
        samplers: RecBole's samplers of these parts.

    Raises:
        UserError: If the file belongs to another split or dataset, a user has interacted with too many
            items, or the config asks for candidates drawn by popularity.
    """
    sizes = {phase: config[f"{phase}_neg_sample_args"]["sample_num"] for phase in PHASES[1:]}
    wanted = {
        phase: (part, size)
        for phase, part in zip(PHASES, built, strict=True)
        if isinstance(size := sizes.get(phase), int)
    }
    for phase in wanted:
        if (drawn_by := config[f"{phase}_neg_sample_args"]["distribution"]) != "uniform":
            raise UserError(f"candidates_file holds items drawn uniformly, not by {drawn_by}; use mode uniN")
    file = Path(config["candidates_file"])
    if not file.is_file():
        _write(file, _drawn(config["seed"], dataset, wanted), dataset)
    found = _read(file, dataset)
    for phase, (part, size) in wanted.items():
        _check(file, phase, part, size, found[phase], dataset)
    return tuple(
        FixedCandidates(phase, found[phase]) if phase in wanted else sampler
        for phase, sampler in zip(PHASES, samplers, strict=True)
    )


def _drawn(
    seed: int, dataset: Any, wanted: dict[str, tuple[Any, int]]
) -> Iterator[tuple[str, int, int, Ids]]:
    """Yield phase, user, target item and its negatives, drawn by a generator of (seed, phase, user, item)."""
    taken = _taken(dataset)
    for phase, (part, size) in wanted.items():
        for user, item in _rows(part):
            free = np.setdiff1d(np.arange(1, dataset.item_num), list(taken[user]), assume_unique=True)
            if len(free) < size:
                token = dataset.field2id_token[dataset.uid_field][user]
                raise UserError(
                    f"user '{token}' has not taken {len(free)} items, fewer than the {size} to be ranked "
                    "beside the target; lower the number in eval_args' mode"
                )
            draw = np.random.default_rng((seed, PHASES.index(phase), user, item))
            yield phase, user, item, draw.choice(free, size, replace=False)


def _rows(part: Any) -> Iterator[tuple[int, int]]:
    rows = part.inter_feat
    return zip(rows[part.uid_field].tolist(), rows[part.iid_field].tolist(), strict=True)


def _taken(dataset: Any) -> dict[int, set[int]]:
    """Return each user's items over all phases, including the first item of a sequence.

    In RecBole's sequential datasets that first item is the target item of no row.
    """
    taken: dict[int, set[int]] = {}
    for user, item in _rows(dataset):
        taken.setdefault(user, set()).add(item)
    sequences = dataset.iid_field + dataset.config["LIST_SUFFIX"]
    if sequences in dataset.inter_feat:
        first = dataset.inter_feat[dataset.inter_feat[dataset.item_list_length_field] == 1]
        for user, item in zip(
            first[dataset.uid_field].tolist(), first[sequences][:, 0].tolist(), strict=True
        ):
            taken[user].add(item)
    return taken


def _write(file: Path, drawn: Iterator[tuple[str, int, int, Ids]], dataset: Any) -> None:
    users, items = (dataset.field2id_token[field] for field in (dataset.uid_field, dataset.iid_field))
    with replacing(file) as temporary, temporary.open("w", encoding="utf-8") as out:
        for phase, user, item, others in drawn:
            names = [str(token) for token in items[others]]
            line = {"phase": phase, "user": str(users[user]), "item": str(items[item]), "others": names}
            out.write(json.dumps(line) + "\n")


def _read(file: Path, dataset: Any) -> dict[str, dict[tuple[int, int], Ids]]:
    users, items = (dataset.field2token_id[field] for field in (dataset.uid_field, dataset.iid_field))
    found: dict[str, dict[tuple[int, int], Ids]] = {phase: {} for phase in PHASES}
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            others = np.array([items[token] for token in row["others"]], dtype=np.int64)
            found[row["phase"]][users[row["user"]], items[row["item"]]] = others
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"candidates_file '{file}' is not of this dataset, or damaged: {error!r}") from None
    return found


def _check(
    file: Path, phase: str, part: Any, size: int, found: dict[tuple[int, int], Ids], dataset: Any
) -> None:
    for user, item in _rows(part):
        if len(found.get((user, item), ())) < size:
            names = dataset.field2id_token[part.uid_field][user], dataset.field2id_token[part.iid_field][item]
            raise UserError(
                f"candidates_file '{file}' holds no {size} candidates for user '{names[0]}' and item "
                f"'{names[1]}' of the {phase} part: it is of another split; name a new file"
            )
