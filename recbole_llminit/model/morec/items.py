"""Build the projection of frozen text vectors that replaces a model's ``item_embedding`` in MoRec."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from recbole_llminit.embedding.load import load_item_vectors
from recbole_llminit.initialize.controls import shuffled
from recbole_llminit.model.morec.settings import ProjectionSettings
from recbole_llminit.nn.text_projection import TextItems


def text_items(config: Any, dataset: Any, ids: nn.Embedding) -> TextItems:
    """Load the vectors that ``llm_embedding`` names, and build the module that replaces the table `ids`.

    Reads `seed` and the keys of `ProjectionSettings` and `load_item_vectors`.

    Raises:
        UserError: If a key has a wrong value, or the vectors do not belong to the dataset.
    """
    settings = ProjectionSettings.from_config(config)
    loaded = load_item_vectors(config, dataset)
    if loaded is None:
        raise AssertionError("the settings let no run pass without vectors")
    text, seed = loaded.matrix, config["seed"]
    if settings.center:
        text[1:] -= text[1:].mean(axis=0, dtype=np.float64).astype(np.float32)
    if settings.shuffle_items:
        text = shuffled(text, seed)
    seen = np.asarray(dataset.inter_matrix(form="csr").sum(axis=0)).ravel() > 0
    return TextItems(text, ids, seen, settings.shape, loaded.hash)
