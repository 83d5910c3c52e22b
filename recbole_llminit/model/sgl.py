"""RecBole's SGL on CSR graphs; stands beneath LLMInitSGL.

Wu et al., "Self-supervised Graph Learning for Recommendation", SIGIR 2021 (arXiv 2010.10783).
Same parameters, views, loss and scores as RecBole's.
"""

from __future__ import annotations

import scipy.sparse as sp
import torch
from recbole.model.general_recommender.sgl import SGL as RecBoleSGL

from recbole_llminit.graph.propagation import Graph, propagate


class SGL(RecBoleSGL):  # type: ignore[misc]
    """SGL whose graphs are CSR and multiplied forward and backward alike."""

    def csr2tensor(self, matrix: sp.csr_matrix) -> Graph:
        """Return a SciPy matrix as a graph on the model's device."""
        return Graph.from_scipy(matrix).to(self.device)

    def forward(self, graph: Graph | list[Graph]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the users (n_users, d) and items (n_items, d) propagated over `graph`."""
        nodes = torch.cat([self.user_embedding.weight, self.item_embedding.weight])
        users, items = torch.split(propagate(graph, nodes, self.n_layers), [self.n_users, self.n_items])
        return users, items
