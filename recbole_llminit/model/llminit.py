"""LLMInit: initialise the embedding tables of a host model from vectors of the items' texts.

The host model is the RecBole model X beneath ``LLMInit<X>``.

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

# Keys from which RecBole's models take the width of `item_embedding`; the first that a model has is taken.
_WIDTH_KEYS = ("embedding_size", "ui_embedding_size", "hidden_size")


class LLMInit:
    """A mixin that overwrites the host model's tables after the host model has initialised them.

    Nothing is frozen and nothing is added to the host model: parameters, loss and the cost of inference
    are the same. The published code copies the model class of each host model and hard-codes CUDA; here
    any host model with an ``item_embedding`` table works, on any device.

    The fitted `Projection` is kept in the checkpoint, as the entry ``llm_projection`` of
    ``other_parameter``, so that an item that arrives later gets the row that it would have had at the
    start. Without vectors there is no such entry.

    Reads `model`, `llm_embedding`, `seed`, `train_stage`, the key of the host model's width, and the keys
    of `Settings` and `load_item_vectors`.

    Raises:
        UserError: If a setting or the vectors do not fit the host model or the dataset.
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
        super().__init__(config, dataset)  # type: ignore[call-arg]  # of the host model
        # S3Rec's second stage loads the parameters of its first, which was initialised from the vectors.
        if loaded and config["train_stage"] != "finetune":
            projection = _overwrite(self, loaded.matrix, dataset, settings, config["seed"])
            self.llm_projection = projection.state()
            # RecBole saves and loads the attributes listed here; some host models already list others.
            self.other_parameter_name = [*getattr(self, "other_parameter_name", ()), "llm_projection"]


def _overwrite(model: Any, vectors: np.ndarray, dataset: Any, settings: Settings, seed: int) -> Projection:
    """Copy the starting tables into ``item_embedding`` and, if there is one, ``user_embedding``.

    Rows beyond the dataset's items (BERT4Rec's mask token) keep the host model's initial values.

    Args:
        model: An initialised host model.
        vectors: (n_items, d_llm) float32 in RecBole's id order; row 0 is padding.
        dataset: RecBole's dataset of the training interactions.
        settings: How to select dimensions, pool and rescale.
        seed: Seed of every draw.

    Returns:
        The projection that computed the item table.

    Raises:
        UserError: If the host model has no item table, or if its user and item tables differ in width.
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
    """Return the config key from which the host model of `model` takes the width of ``item_embedding``."""
    import recbole
    import yaml

    file = Path(recbole.__file__).parent / "properties" / "model" / f"{host_name(model)}.yaml"
    keys = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return next((key for key in _WIDTH_KEYS if key in keys), "embedding_size")
