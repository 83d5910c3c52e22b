"""MoRec as a general recommender: matrix factorisation or LightGCN on items computed from text.

Yuan et al., "Where to Go Next for Recommender Systems? ID- vs. Modality-based Recommender Models
Revisited", SIGIR 2023 (arXiv 2303.13835).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F

from recbole_llminit.model.lightgcn import LightGCN
from recbole_llminit.model.morec.items import text_items
from recbole_llminit.model.morec.settings import Backbone, MoRecSettings, Users
from recbole_llminit.nn.propagation import Graph
from recbole_llminit.nn.text_projection import TextItems


class MoRec(LightGCN):
    """LightGCN, or matrix factorisation, trained by BPR on items computed from their text.

    The paper's general recommender is DSSM with binary cross-entropy, and its text encoder is trained
    too. Here the vectors are frozen, and loss (BPR), sampler and regulariser are those of RecBole's
    LightGCN, so that the model is comparable with LightGCN and LLMInitLightGCN.

    Reads the keys of `MoRecSettings`, `text_items` and RecBole's LightGCN.

    Raises:
        UserError: If a key has a wrong value, or the vectors do not belong to the dataset.
    """

    item_embedding: TextItems  # until the end of the constructor, LightGCN's table

    def __init__(self, config: Any, dataset: Any) -> None:
        settings = MoRecSettings.from_config(config)
        super().__init__(config, dataset)
        if settings.backbone is Backbone.MF:
            self.n_layers = 0  # LightGCN without propagation is matrix factorisation
        self.item_embedding = text_items(config, dataset, self.item_embedding)
        self.llm_vectors_hash = self.item_embedding.table
        self.pooling: Graph | None = None
        if settings.users is Users.POOLED:
            del self.user_embedding
            self.pooling = mean_pooling(dataset.inter_matrix(form="csr")).to(self.device)

    def get_ego_embeddings(self) -> torch.Tensor:
        """Return user vectors, then item vectors, before propagation: (n_users + n_items, d)."""
        items = self.item_embedding.weight
        if self.pooling is None:
            return torch.cat([self.user_embedding.weight, items])
        return torch.cat([(self.pooling @ F.pad(items, (0, 0, self.n_users, 0)))[: self.n_users], items])


def mean_pooling(interactions: sp.spmatrix) -> Graph:
    """Return a graph whose product with the item vectors is the mean of each user's items.

    The graph of all nodes is [[0, M], [M', 0]], with M the interactions (n_users, n_items) and each row
    divided by its sum. It is symmetric so that its gradient needs no transpose. A user without
    interactions gets zeros.
    """
    counts = sp.csr_matrix(interactions, dtype=np.float32)
    degrees = np.asarray(counts.sum(axis=1)).ravel()
    means = sp.diags(1 / np.maximum(degrees, 1)) @ counts
    return Graph.from_scipy(sp.bmat([[None, means], [means.T, None]]))
