"""LLMInit: start a host model's tables from vectors of the items' text.

Zhang et al., "LLMInit: A Free Lunch from Large Language Models for Selective Initialization of
Recommendation", EMNLP 2025 Industry Track (arXiv 2503.01814).
"""

from __future__ import annotations

from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from recbole_llminit.embedding.load import load_item_vectors
from recbole_llminit.initialize.projection import Projection
from recbole_llminit.initialize.settings import Settings
from recbole_llminit.initialize.tables import starting_tables
from recbole_llminit.model.specs import PREFIX, host_name
from recbole_llminit.utils.errors import UserError

# Where RecBole's models take the width of `item_embedding` from, the surest first.
_WIDTH_KEYS = ("embedding_size", "ui_embedding_size", "hidden_size")


class LLMInit:
    """Mixin in front of a host model: it overwrites the host's tables after the host's own initialiser.

    Nothing is frozen and nothing is added to the host: same parameters, same loss, same cost at
    inference. Differs from the published code, which forks one model class per host and hard-codes
    CUDA, in that any host with an ``item_embedding`` table works, on any device.

    What the start has learned from the catalogue is kept in the checkpoint, under ``other_parameter``
    as ``llm_projection``: the state of a `Projection`, which gives an item that arrives later the row it
    would have had. Without vectors there is none.

    Reads `llm_embedding`, `seed`, `train_stage`, the host's key of its width, and the keys of `Settings`
    and `load_item_vectors`.

    Raises:
        UserError: If a setting or the vectors don't fit the host or the dataset.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        settings = Settings.from_config(config)
        loaded = load_item_vectors(config, dataset)
        self.llm_vectors_hash = loaded.hash if loaded else None
        if loaded and settings.selection == "full":
            key, width = width_key(config["model"]), loaded.matrix.shape[1]
            if config[key] != width:
                getLogger().info(
                    f"llm_selection full: {key} is the vectors' {width} instead of {config[key]}"
                )
            config[key] = width
        super().__init__(config, dataset)  # type: ignore[call-arg]  # the host's
        # S3Rec's second stage starts from its first, which started from the vectors.
        if loaded and config["train_stage"] != "finetune":
            projection = _overwrite(self, loaded.matrix, dataset, settings, config["seed"])
            self.llm_projection = projection.state()
            # RecBole saves and loads the attributes named here; some hosts have their own among them.
            self.other_parameter_name = [*getattr(self, "other_parameter_name", ()), "llm_projection"]


def _overwrite(model: Any, vectors: np.ndarray, dataset: Any, settings: Settings, seed: int) -> Projection:
    """Copy the starting tables into ``item_embedding`` and, if there is one, ``user_embedding``.

    Rows beyond the dataset's (BERT4Rec's mask token) keep the host's values.

    Args:
        model: A host with its own tables.
        vectors: (n_items, d_llm) float32 in RecBole's id order; row 0 is padding.
        dataset: RecBole's, of the training interactions.
        settings: What to select and how to pool.
        seed: Decides every draw.

    Returns:
        The projection that made the item table.

    Raises:
        UserError: If the host has no item table, or if its users and items differ in width.
    """
    items, users = _table(model, "item_embedding"), _table(model, "user_embedding")
    if items is None or items.num_embeddings < len(vectors):
        host = host_name(type(model).__name__)
        raise UserError(f"{PREFIX}{host}: {host} has no embedding table `item_embedding` to initialise")
    if settings.pooling != "none" and users is not None and users.embedding_dim != items.embedding_dim:
        raise UserError(
            f"llm_pooling '{settings.pooling.value}': {type(model).__name__}'s users are "
            f"{users.embedding_dim} wide and its items {items.embedding_dim}; use llm_pooling: none"
        )
    item_rows, user_rows, projection = starting_tables(
        vectors,
        dataset.inter_matrix(form="csr"),
        settings,
        items=items.weight.detach().cpu().numpy()[: len(vectors)],
        users=None if users is None else users.weight.detach().cpu().numpy(),
        seed=seed,
    )
    for table, values in ((items, item_rows), (users, user_rows)):
        if table is not None and values is not None:
            with torch.no_grad():
                table.weight[: len(values)] = torch.from_numpy(values)
    return projection


def _table(model: Any, name: str) -> nn.Embedding | None:
    table = getattr(model, name, None)
    return table if isinstance(table, nn.Embedding) else None


def width_key(model: str) -> str:
    """Return the config key from which `model`'s host takes the width of ``item_embedding``."""
    import recbole
    import yaml

    file = Path(recbole.__file__).parent / "properties" / "model" / f"{host_name(model)}.yaml"
    keys = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return next((key for key in _WIDTH_KEYS if key in keys), "embedding_size")
