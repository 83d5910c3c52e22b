"""A faster SGL on CSR graphs, the base class of LLMInitSGL.

Wu et al., "Self-supervised Graph Learning for Recommendation", SIGIR 2021 (arXiv 2010.10783). Parameters,
views, loss and scores are those of RecBole's SGL, unless ``ssl_denominator`` asks for another loss.
"""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp
import torch
import torch.nn.functional as F
from recbole.model.general_recommender.sgl import SGL as RecBoleSGL

from recbole_llminit.nn.propagation import Graph, propagate
from recbole_llminit.nn.softmax import log_sum_exp, sampled_log_sum_exp
from recbole_llminit.utils.errors import UserError


class SGL(RecBoleSGL):  # type: ignore[misc]
    """SGL whose graphs are symmetric `Graph` objects, used for the forward and the backward product.

    Reads `ssl_denominator` and the keys of RecBole's SGL.

    Raises:
        UserError: If ``ssl_denominator`` is not ``all``, ``batch`` or a number from 1 on.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.denominator: str | int = config["ssl_denominator"]
        sampled = isinstance(self.denominator, int) and not isinstance(self.denominator, bool)
        if self.denominator not in ("all", "batch") and not (sampled and int(self.denominator) > 0):
            raise UserError(
                f"ssl_denominator '{self.denominator}' must be all, batch or a number of nodes to sample"
            )

    def csr2tensor(self, matrix: sp.csr_matrix) -> Graph:
        """Return a symmetric SciPy matrix as a graph on the model's device."""
        return Graph.from_scipy(matrix).to(self.device)

    def forward(self, graph: Graph | list[Graph]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the user vectors (n_users, d) and item vectors (n_items, d) propagated over `graph`."""
        nodes = torch.cat([self.user_embedding.weight, self.item_embedding.weight])
        users, items = torch.split(propagate(graph, nodes, self.n_layers), [self.n_users, self.n_items])
        return users, items

    def calc_ssl_loss(
        self,
        user_list: torch.Tensor,
        pos_item_list: torch.Tensor,
        user_sub1: torch.Tensor,
        user_sub2: torch.Tensor,
        item_sub1: torch.Tensor,
        item_sub2: torch.Tensor,
    ) -> torch.Tensor:
        """Return the contrastive loss of a batch's users plus that of its items, times ``ssl_weight``.

        The two views of all users are (n_users, d), those of all items (n_items, d).
        """
        users = self._contrast(user_list, user_sub1, user_sub2)
        items = self._contrast(pos_item_list, item_sub1, item_sub2)
        return (users + items) * self.ssl_weight

    def _contrast(self, ids: torch.Tensor, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        """Sum InfoNCE between two views over a batch; a repeated id is computed once and weighted."""
        once, times = torch.unique(ids, return_counts=True)
        x, same = F.normalize(one[once], dim=1), F.normalize(two[once], dim=1)
        own = (x * same).sum(dim=1) / self.ssl_tau
        return (times * (self._log_denominator(once, x, same, own, two) - own)).sum()

    def _log_denominator(
        self, ids: torch.Tensor, x: torch.Tensor, same: torch.Tensor, own: torch.Tensor, table: torch.Tensor
    ) -> torch.Tensor:
        """Return the log of InfoNCE's denominator for each node of the batch, (n,).

        For ``all`` it sums over all users or all items, as in Equation 10; for ``batch`` over the nodes of
        the batch, as SimCLR does. For a number, so many nodes are drawn uniformly with replacement: their
        sum, without the node itself, is scaled up to be unbiased, and the node's term is added.

        Args:
            ids: (n,) distinct node ids.
            x: (n, d) the nodes' unit vectors in the first view.
            same: (n, d) the nodes' unit vectors in the second view.
            own: (n,) x.same divided by the temperature.
            table: (n_nodes, d) the second view of all users or all items, not normalised.
        """
        if self.denominator == "batch":
            return log_sum_exp(x, same, self.ssl_tau)
        if self.denominator == "all":
            return log_sum_exp(x, F.normalize(table, dim=1), self.ssl_tau)
        drawn = torch.randint(len(table), (int(self.denominator),), device=table.device)
        itself = torch.bincount(drawn, minlength=len(table))[ids]
        sampled = F.normalize(table[drawn], dim=1)
        return sampled_log_sum_exp(x, own, sampled, itself, len(table), self.ssl_tau)
