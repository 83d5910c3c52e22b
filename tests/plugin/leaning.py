"""A user-defined model in one file, for the tests: BPR whose scores favour popular items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from recbole.model.general_recommender.bpr import BPR

from recbole_llminit.model.specs import ModelSpec
from recbole_llminit.utils.values import number


def check(config: Any) -> None:
    """Check the model's key ``leaning_weight``."""
    number(config, "leaning_weight", 0.0)


class Leaning(BPR):
    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.weight = number(config, "leaning_weight", 0.0)
        self.popularity = torch.tensor(dataset.inter_matrix(form="csr").sum(axis=0)).float().flatten()

    def full_sort_predict(self, interaction: Any) -> torch.Tensor:
        scores = super().full_sort_predict(interaction).view(-1, self.n_items)
        return scores + self.weight * self.popularity


SPEC = ModelSpec(
    "Leaning",
    "general",
    module=__name__,
    properties=Path(__file__).with_name("leaning.yaml"),
    settings=(f"{__name__}:check",),
    path_keys=("leaning_file",),
)
