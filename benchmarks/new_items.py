"""Compare ALLMRec with its frozen backbone for test users whose target item is in no training interaction.

Example: python -m benchmarks.new_items saved/allmrec/office-2014/2020/mse/ALLMRec-*.pth
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

from recbole_llminit.pretrained.checkpoint import load_frozen

K = 50


def main() -> None:
    """Print a row for each checkpoint and each of the two models."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", nargs="+")
    rows = [row for file in parser.parse_args().checkpoints for row in measured(file)]
    head = ["seed", "run", "model", "users", "new items", f"Recall@{K}"]
    print(tabulate(rows, headers=head, tablefmt="github", floatfmt=".4f"))


@torch.no_grad()
def measured(file: str) -> list[list[object]]:
    """Return a table row for the backbone and one for the ALLMRec model of a checkpoint."""
    from recbole.quick_start import load_data_and_model  # RecBole needs this package's repairs first

    config, bridge, _, train, _, test = load_data_and_model(file)
    backbone = load_frozen(config, "allmrec_backbone", train._dataset).model
    rows, new = test._dataset.inter_feat, bridge.degrees == 0
    rows = rows[new[rows["item_id"]].nonzero()[:, 0]]
    made = []
    for model in (backbone, bridge.eval()):
        scores = model.full_sort_predict(rows).view(len(rows), -1)[:, 1:]
        own = scores.gather(1, rows["item_id"].unsqueeze(1) - 1)
        hits = (scores > own).sum(dim=1) < K
        facts = [config["seed"], Path(file).parent.name, type(model).__name__, len(rows), int(new.sum()) - 1]
        made.append([*facts, np.mean(hits.numpy())])
    return made


if __name__ == "__main__":
    main()
