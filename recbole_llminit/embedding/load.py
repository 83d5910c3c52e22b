"""Load the vectors that ``llm_embedding`` names, in the order of RecBole's item ids."""

from __future__ import annotations

from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recbole_llminit.dataset.card import read_card
from recbole_llminit.dataset.items import read_items, texts_hash, texts_in_order
from recbole_llminit.dataset.places import atomic_file, find_file, folders, tables
from recbole_llminit.embedding.align import align
from recbole_llminit.embedding.table import ITEMEMB, Card, load
from recbole_llminit.utils.errors import UserError

_FILTERS = ("val_interval", "rm_dup_inter", "user_inter_num_interval", "item_inter_num_interval")  # keys


@dataclass(frozen=True)
class LoadedVectors:
    """Vectors (n_items, d_llm) float32 by RecBole's item id, row 0 zeros, and their hash if known."""

    matrix: npt.NDArray[np.float32]
    hash: str | None


def load_item_vectors(config: Any, dataset: Any) -> LoadedVectors | None:
    """Read, verify and align the table that ``llm_embedding`` names; return None if the key is ``none``.

    RecBole's vocabulary, split and candidates do not change, because the vectors are ordered by the ids
    that RecBole has given. (RecBole's documented ``preload_weight`` instead adds every item of the file.)

    Reads `llm_embedding`, `llm_missing`, `data_path`, `dataset`, `ITEM_ID_FIELD`, `eval_args` and
    RecBole's filters of interactions: `val_interval`, `rm_dup_inter`, `user_inter_num_interval` and
    `item_inter_num_interval`.

    Raises:
        UserError: If there is no such table, if it was made from other texts or for other items, or if it
            was made from reviews that the run's split holds out.
    """
    if config["llm_embedding"] in (None, "none"):
        return None
    file = find_table(config)
    table = load(file)
    verified = _verify_texts(table.card, table.ids, config, file)
    _refuse_leak(table.card, config)
    tokens = dataset.field2id_token[dataset.iid_field]
    matrix, found = align(table, tokens, config["llm_missing"])
    if len(matrix) != dataset.item_num:
        raise AssertionError(f"{len(matrix)} vectors for {dataset.item_num} ids")
    n_items = len(matrix) - 1
    getLogger().info(
        f"item vectors: {file}, {matrix.shape[1]} dimensions, {found} of {n_items} items have one, "
        f"{verified}; candidates unchanged: {n_items} items with and without vectors"
    )
    return LoadedVectors(matrix, table.card.vectors_sha256 if table.card else None)


def find_table(config: Any) -> Path:
    """Return the file of the table that ``llm_embedding`` names.

    The key's value is a path, or a name that is looked for in the data path and among the shipped
    datasets. If the name is an encoder's folder or ``organisation/model``, the last part names the table.
    The data path is the one that the user gave, because RecBole replaces that of ml-100k by a folder of
    its package. Reads `llm_embedding`, `dataset` and `data_path`.

    Raises:
        UserError: If there is no such file; the message names the tables that exist, and the command
            that makes one.
    """
    name, dataset = str(config["llm_embedding"]), str(config["dataset"])
    if Path(name).suffix in (".safetensors", f".{ITEMEMB}"):
        if Path(name).is_file():
            return Path(name)
        raise UserError(f"llm_embedding '{name}': no such file")
    given = config.external_config_dict.get("data_path") or config.internal_config_dict["data_path"]
    wanted = f"{dataset}.{ITEMEMB}" if name == ITEMEMB else f"{Path(name).name}.safetensors"
    if file := find_file(dataset, Path(given), wanted):
        return file
    where = " or ".join(map(str, folders(dataset, Path(given))))
    there = tables(dataset, Path(given))
    how = "--atomic" if name == ITEMEMB else f"--encoder {name}"
    raise UserError(
        f"llm_embedding '{name}': no {wanted} in {where}"
        + (f" (tables there: {', '.join(there)})" if there else "")
        + f"; make it with: recbole-llminit encode {dataset} {how} --data-path {given} "
        "(a matrix of your own: --from, see --help)"
    )


def _refuse_leak(card: Card | None, config: Any) -> None:
    """Refuse vectors made from reviews if the split holds out interactions that these reviews belong to.

    Reads `llm_embedding`, `data_path`, `eval_args` and the keys of `_FILTERS`.
    """
    if card is None or "{reviews}" not in (card.template or ""):
        return
    prepared = read_card(Path(config["data_path"]))
    if prepared is None or not prepared.review_text:
        return
    split = config["eval_args"]
    for key in _FILTERS:  # after a filter, a user's last two interactions may be others
        if config[key] not in (None, "[0,inf)"):
            raise UserError(
                f"the vectors '{config['llm_embedding']}' were made from reviews of all but each user's last "
                f"two interactions; {key} '{config[key]}' makes others the last. Filter with prepare, or "
                "encode without {reviews}"
            )
    if split["order"] != "TO" or split["split"].get("LS") != "valid_and_test":
        raise UserError(
            f"the vectors '{config['llm_embedding']}' were made from reviews of the sequential protocol's "
            "training part; under this split some of them are of interactions to be predicted. Set "
            "protocol: sequential, or encode without {reviews}"
        )


def _verify_texts(card: Card | None, ids: tuple[str, ...], config: Any, file: Path) -> str:
    """Compare the hash of the texts in the ``.item`` file with the card's; return the result in words.

    Reads `data_path` and `ITEM_ID_FIELD`.

    Raises:
        UserError: If the hashes differ.
    """
    if card is None:
        return "no card, texts not verified"
    if card.texts_sha256 is None or card.template is None:
        return f"encoder {card.encoder}, texts not verified"
    item_file = atomic_file(Path(config["data_path"]), "item")
    if not item_file.is_file():
        return f"encoder {card.encoder}, texts not verified (no {item_file})"
    actual = texts_hash(texts_in_order(read_items(item_file, config["ITEM_ID_FIELD"]), card.template, ids))
    if actual != card.texts_sha256:
        raise UserError(
            f"{file} was made from other texts than {item_file} (texts {actual[:12]}, card "
            f"{card.texts_sha256[:12]}); encode again: {card.command}"
        )
    return f"encoder {card.encoder}, texts verified"
