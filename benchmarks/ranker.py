"""Compare A-LLMRec's second stage, before and after some training steps, with its first stage and backbone.

Example: python -m benchmarks.ranker --dataset=beauty-mini --stage1=saved/stage1 --llm=model.gguf --steps=50

All of them rank the same 1 + 19 candidates of the same users. The language model orders titles by their
mean log-likelihood over the tokens (``mean``, ``allmrec_length_penalty: 1``) or by the total (``sum``, 0).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_logger, init_seed
from tabulate import tabulate
from tqdm import tqdm

import recbole_llminit
from recbole_llminit.dataset.places import PROPS
from recbole_llminit.pretrained.checkpoint import find_checkpoint, load_frozen

MODEL = "ALLMRecRanker"
Ranks = dict[str, list[int]]  # for each ranker, the rank of each user's target item, from 0


def main() -> None:
    """Evaluate, train, evaluate again, and print the table after each evaluation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data_path", default="atomic_data")
    parser.add_argument("--stage1", required=True, help="checkpoint, or a folder: its newest")
    parser.add_argument("--llm", required=True)
    parser.add_argument("--steps", type=int, default=300, help="training steps (%(default)s)")
    parser.add_argument("--users", type=int, default=200, help="test users, drawn by the seed (%(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="users of a step (%(default)s)")
    parser.add_argument("--candidates", type=Path, default=Path("saved/candidates.jsonl"))
    args, _ = parser.parse_known_args()  # RecBole's Config reads the other --key=value by itself
    made = build(args)
    found = others(made)
    for when in ("untrained", "trained"):
        if when == "trained":
            train(made)
        found |= {f"language model, {when}, {how}": r for how, r in likelihoods(made).items()}
        print(table(found), flush=True)


def build(args: argparse.Namespace) -> Any:
    """Make config, loaders, model and trainer as RecBole's quick start does."""
    keys = {"data_path": args.data_path, "allmrec_stage1": args.stage1, "allmrec_llm": args.llm}
    keys |= {"allmrec_train_users": args.steps * args.batch, "allmrec_eval_users": args.users}
    keys |= {"train_batch_size": args.batch, "candidates_file": str(args.candidates), "epochs": 1}
    keys |= {"eval_step": 0, "state": "WARNING"}
    files = [*recbole_llminit.config_files(MODEL, args.dataset), str(PROPS / "allmrec" / "ranker.yaml")]
    config = Config(MODEL, args.dataset, config_file_list=files, config_dict=keys)
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    loaders = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(MODEL)(config, loaders[0]._dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], MODEL)(config, model)
    return argparse.Namespace(config=config, train=loaders[0], test=loaders[2], model=model, trainer=trainer)


def train(made: Any) -> None:
    """Train, and print the number of steps, the mean loss and the seconds."""
    start = perf_counter()
    made.trainer.fit(made.train, saved=True, show_progress=True)
    loss = made.trainer.train_loss_dict[0] / len(made.train)
    print(f"{len(made.train)} steps, mean loss {loss:.3f}, {perf_counter() - start:.0f} s", flush=True)


def others(made: Any) -> dict[str, list[int]]:
    """Return the ranks by the scores of the first stage and of its backbone."""
    stage1 = made.model.stage1.model.to(made.config["device"])
    file = find_checkpoint(made.config, "allmrec_stage1")
    theirs = torch.load(file, weights_only=False)["config"]
    made.config["allmrec_backbone"] = theirs["allmrec_backbone"]
    backbone = load_frozen(made.config, "allmrec_backbone", made.train._dataset).model
    rankers = {type(backbone).__name__: backbone, "stage 1": stage1}
    return {
        name: [rank for batch in made.test for rank in ranked(model.predict(batch[0]), batch)]
        for name, model in rankers.items()
    }


@torch.no_grad()
def likelihoods(made: Any) -> Ranks:
    """Return the ranks by the language model, for both normalisations from one run over the titles."""
    model = made.model.eval()
    model.settings = replace(model.settings, length_penalty=0.0)
    lengths = torch.tensor([len(target) for target in model.writer.targets])
    found: Ranks = {"mean": [], "sum": []}
    for batch in tqdm(made.test, unit="batch"):
        total = model.predict(batch[0].to(made.config["device"])).cpu()
        found["sum"] += ranked(total, batch)
        found["mean"] += ranked(total / lengths[batch[0]["item_id"].cpu()], batch)
    return found


def ranked(scores: torch.Tensor, batch: tuple[Any, ...]) -> list[int]:
    """Return the target items' ranks; RecBole puts the target first, and ties are ranked above it."""
    rows = batch[1]
    return [int((scores[rows == row][1:] >= scores[rows == row][0]).sum()) for row in rows.unique()]


def table(found: Ranks) -> str:
    """Return a table of Hit@1, NDCG@5 and MRR with their standard errors over the users."""
    rows = [["random (expected)", "0.0500", f"{sum(1 / np.log2(np.arange(5) + 2)) / 20:.4f}", "0.1799", ""]]
    for name, values in found.items():
        ranks = np.array(values)
        gains = [ranks == 0, np.where(ranks < 5, 1 / np.log2(ranks + 2.0), 0), 1 / (ranks + 1)]
        scores = [f"{gain.mean():.4f} ± {gain.std() / len(gain) ** 0.5:.4f}" for gain in gains]
        rows.append([name, *scores, str(len(ranks))])
    return tabulate(
        rows, headers=["ranker", "Hit@1", "NDCG@5", "MRR", "users"], tablefmt="github", disable_numparse=True
    )


if __name__ == "__main__":
    main()
