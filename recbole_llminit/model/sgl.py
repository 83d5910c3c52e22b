"""RecBole's SGL on CSR graphs; stands beneath LLMInitSGL.

Wu et al., "Self-supervised Graph Learning for Recommendation", SIGIR 2021 (arXiv 2010.10783).
Same parameters, views, loss and scores as RecBole's, unless ``ssl_denominator`` asks for another loss.
"""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp
import torch
import torch.nn.functional as F
from recbole.model.general_recommender.sgl import SGL as RecBoleSGL

from recbole_llminit.nn.propagation import Graph, propagate
from recbole_llminit.nn.softmax import log_sum_exp
from recbole_llminit.utils.errors import UserError


class SGL(RecBoleSGL):  # type: ignore[misc]
    """SGL whose graphs are CSR and multiplied forward and backward alike.

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
        """Return a SciPy matrix as a graph on the model's device."""
        return Graph.from_scipy(matrix).to(self.device)

    def forward(self, graph: Graph | list[Graph]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the users (n_users, d) and items (n_items, d) propagated over `graph`."""
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
        """Return the contrastive loss of the batch's users and items, each against all of its kind."""
        users = self._contrast(user_list, user_sub1, user_sub2)
        items = self._contrast(pos_item_list, item_sub1, item_sub2)
        return (users + items) * self.ssl_weight

    def _contrast(self, ids: torch.Tensor, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        """Sum InfoNCE over a batch; an id that occurs n times is computed once and counts n times."""
        once, times = torch.unique(ids, return_counts=True)
        x, same = F.normalize(one[once], dim=1), F.normalize(two[once], dim=1)
        own = (x * same).sum(dim=1) / self.ssl_tau
        return (times * (self._log_denominator(once, x, same, own, two) - own)).sum()

    def _log_denominator(
        self, ids: torch.Tensor, x: torch.Tensor, same: torch.Tensor, own: torch.Tensor, table: torch.Tensor
    ) -> torch.Tensor:
        """Return the log of InfoNCE's denominator, (batch,).

        Equation 10 sums over all nodes of a kind. ``batch`` sums over the batch's alone, as SimCLR does.
        A number of nodes drawn uniformly, with replacement, stand for all others: the sum over those that
        are not the node itself is scaled up, so that it is unbiased, and the node itself is added.
        """
        if self.denominator == "batch":
            return log_sum_exp(x, same, self.ssl_tau)
        if self.denominator == "all":
            return log_sum_exp(x, F.normalize(table, dim=1), self.ssl_tau)
        drawn = torch.randint(len(table), (int(self.denominator),), device=table.device)
        itself = torch.bincount(drawn, minlength=len(table))[ids]
        everything = log_sum_exp(x, F.normalize(table[drawn], dim=1), self.ssl_tau)
        share = 1 - itself * torch.exp(own - everything)  # of the others
        others = everything + torch.log(share.clamp_min(torch.finfo(share.dtype).tiny))
        return torch.logaddexp(own, others + torch.log((len(table) - 1) / (len(drawn) - itself).clamp_min(1)))
