"""SSM: LightGCN trained by a softmax over the cosines of a user with all items, or with sampled ones.

Wu et al., "On the Effectiveness of Sampled Softmax Loss for Item Recommendation", TOIS 2024
(arXiv 2201.02327).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from recbole_llminit.model.lightgcn import PositiveLightGCN
from recbole_llminit.nn.propagation import propagate
from recbole_llminit.nn.receptive_field import propagate_to
from recbole_llminit.nn.softmax import log_sum_exp, sampled_log_sum_exp
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.values import is_number


class SSM(PositiveLightGCN):
    """LightGCN whose loss is the softmax of the positive item among all items.

    The paper draws negatives for every pair. Here the softmax is over all items (`ssm_negatives: all`), or
    over items that a batch draws uniformly and shares, corrected for the probability of a draw. Items have
    unit length at ranking too; a user's length does not change the order.

    Reads `ssm_temperature`, `ssm_negatives` and the keys of RecBole's LightGCN; `n_layers: 0` is matrix
    factorisation.

    Raises:
        UserError: If a key is wrong.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        self.temperature, self.negatives = settings(config)
        super().__init__(config, dataset)

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the users (n_users, d) and the items (n_items, d), of length 1, after propagation."""
        users, items = super().forward()
        return users, F.normalize(items)

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        """Return the mean loss of a batch of positive pairs.

        Raises:
            ValueError: If the batch carries labels, that is, sampled negatives.
        """
        pairs = self.positives(interaction)
        return self._full_loss(pairs) if self.negatives is None else self._sampled_loss(pairs, self.negatives)

    def _full_loss(self, pairs: torch.Tensor) -> torch.Tensor:
        """Return the loss over all items; the padding item is none."""
        nodes = F.normalize(propagate(self.norm_adj_matrix, self.get_ego_embeddings(), self.n_layers))
        user, positive = nodes[pairs].chunk(2)
        own = (user * positive).sum(dim=1) / self.temperature
        return (log_sum_exp(user, nodes[self.n_users + 1 :], self.temperature) - own).mean()

    def _sampled_loss(self, pairs: torch.Tensor, number: int) -> torch.Tensor:
        """Return the loss over items drawn uniformly with replacement, for which no other is propagated."""
        drawn = torch.randint(self.n_users + 1, self.n_users + self.n_items, (number,), device=pairs.device)
        rows = torch.cat([pairs, drawn])
        nodes, _ = propagate_to(self.norm_adj_matrix, self.get_ego_embeddings(), self.n_layers, rows)
        half = len(pairs) // 2
        user, positive, sampled = F.normalize(nodes).split([half, half, number])
        own = (user * positive).sum(dim=1) / self.temperature
        itself = torch.bincount(drawn, minlength=self.n_users + self.n_items)[pairs[half:]]
        n_items = self.n_items - 1
        total = sampled_log_sum_exp(user, own, sampled, itself, n_items, self.temperature)
        return (total - own).mean()


def settings(config: Any) -> tuple[float, int | None]:
    """Return the temperature, and the number of items to draw or None for all.

    Reads `ssm_temperature` and `ssm_negatives`.

    Raises:
        UserError: If a value is wrong.
    """
    temperature, negatives = config["ssm_temperature"], config["ssm_negatives"]
    if not is_number(temperature) or not 0 < temperature < float("inf"):
        raise UserError(f"ssm_temperature '{temperature}' must be a number above 0")
    if negatives == "all":
        return float(temperature), None
    if isinstance(negatives, bool) or not isinstance(negatives, int) or negatives < 1:
        raise UserError(f"ssm_negatives '{negatives}' must be all or a number of items to draw")
    return float(temperature), negatives
