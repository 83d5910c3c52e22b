"""Say which run made a checkpoint, and name the first thing in which another run differs from it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

_EVAL_ARGS = ("split", "group_by", "order")
# Keys that decide which interactions a model was trained on, beside the dataset and `eval_args`.
_KEYS = (
    "seed",
    "USER_ID_FIELD",
    "ITEM_ID_FIELD",
    "TIME_FIELD",
    "rm_dup_inter",
    "val_interval",
    "filter_inter_by_user_or_item",
    "user_inter_num_interval",
    "item_inter_num_interval",
    "benchmark_filename",
)
_SEQUENCE = "MAX_ITEM_LIST_LENGTH"
_SHARES = ("cold_items", "drop_history")
SPLIT = ("dataset", *_EVAL_ARGS, *_KEYS, _SEQUENCE, *_SHARES)

_FIXES = {
    "inter": "bring back the .inter file that it was trained on",
    "vectors": "bring back the vectors that it started from",
    **dict.fromkeys(_EVAL_ARGS, "choose that run's protocol or eval_args"),
}


def identity(
    config: Any, *, vectors: str | None = None, starts: bool = False, split_keys: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what a run's checkpoint must have in common with a run that goes on from it, as plain values.

    Reads `model`, `dataset`, `data_path`, `eval_args`, `cold_items`, `drop_history`, `MODEL_TYPE`,
    `MAX_ITEM_LIST_LENGTH`, the keys of `_KEYS` and `split_keys`, and every `llm_*` key.

    Args:
        config: RecBole's config.
        vectors: The hash of the item vectors that the model reads; None if their table has no card.
        starts: Whether the model reads item vectors; otherwise no `llm_*` key has an effect.
        split_keys: Further keys of this model on which the split depends.

    Returns:
        The names and values; ``inter``, the SHA-256 of the interactions, is left out if there is no file.
    """
    inter = inter_hash(config)
    found = {"model": config["model"], **_split(config), **({"inter": inter} if inter else {})}
    found |= {key: config[key] for key in split_keys}
    if not starts:
        return found
    if config["llm_embedding"] in (None, "none"):
        return {**found, "llm_embedding": "none"}
    return {**found, **_llm_keys(config), "vectors": vectors}


def identity_of(saved: Mapping[str, Any], split_keys: Sequence[str] = ()) -> dict[str, Any]:
    """Return the identity in the content of a checkpoint.

    A checkpoint of RecBole, or of an earlier version, has none. What its config says is returned instead:
    it knows neither the content of the ``.inter`` file nor that of the vectors.
    """
    if "run" in saved:
        return dict(saved["run"]["identity"])
    config = saved["config"]
    further = {key: config[key] for key in split_keys}
    return {"model": config["model"], **_split(config), **further, **_llm_keys(config)}


def first_difference(
    saved: Mapping[str, Any], here: Mapping[str, Any], only: Collection[str] | None = None
) -> tuple[str, Any, Any] | None:
    """Return the first name that two identities do not agree on, with the value of each; None if they agree.

    A name that one of them lacks is not compared. Nor is the name of the table of vectors if the hashes of
    both tables are known.

    Args:
        saved: The identity of a checkpoint.
        here: The identity of this run, in whose order the names are compared.
        only: The names to compare; None means all.
    """
    names = [name for name in here if name in saved and (only is None or name in only)]
    if saved.get("vectors") and here.get("vectors"):
        names = [name for name in names if name != "llm_embedding"]
    return next(((name, saved[name], here[name]) for name in names if saved[name] != here[name]), None)


def differences(
    saved: Mapping[str, Any], here: Mapping[str, Any], only: Collection[str] | None = None
) -> str | None:
    """Return one line about the `first_difference` of two identities, and what to do; None if they agree."""
    found = first_difference(saved, here, only)
    return found and line(*found)


def line(name: str, theirs: Any, ours: Any) -> str:
    """Return one line: the value of `name` there, in a checkpoint, its value here, and what to do."""
    fix = _FIXES.get(name, f"set {name} as it was there")
    return f"{name} {_shown(theirs)} there, {_shown(ours)} here; {fix}, or train anew"


def inter_hash(config: Any) -> str | None:
    """Return the hexadecimal SHA-256 of the file, or files, of interactions; None if there is none.

    Reads `data_path`, `dataset`, `benchmark_filename`.
    """
    folder, name = Path(config["data_path"]), config["dataset"]
    parts = [f"{name}.{part}" for part in config["benchmark_filename"] or ()] or [name]
    files = [folder / f"{part}.inter" for part in parts]
    if not all(file.is_file() for file in files):
        return None
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as source:
            while chunk := source.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()


def _split(config: Any) -> dict[str, Any]:
    """Return the values of `SPLIT`; the length of sequences only of a model that reads them."""
    from recbole.utils import ModelType

    found = {"dataset": config["dataset"], **{name: config["eval_args"][name] for name in _EVAL_ARGS}}
    found |= {key: config[key] for key in _KEYS}
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        found[_SEQUENCE] = config[_SEQUENCE]
    return found | {key: config[key] or 0 for key in _SHARES}  # plain RecBole's config lacks these keys


def _llm_keys(config: Any) -> dict[str, Any]:
    keys = sorted(key for key in config.final_config_dict if key.startswith("llm_"))
    return {key: config[key] for key in keys}


def _shown(value: Any) -> str:
    """Return a value as text, a hash by its first twelve digits."""
    text = str(value)
    is_hash = len(text) == hashlib.sha256().digest_size * 2 and not set(text) - set("0123456789abcdef")
    return text[:12] if is_hash else text
