"""ALLMRecRanker: the second stage of A-LLMRec, a frozen language model that ranks item titles.

Kim et al., "Large Language Models meet Collaborative Filtering: An Efficient All-round LLM-based
Recommender System", KDD 2024 (arXiv 2404.11343), section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType

from recbole_llminit.dataset.titles import item_titles
from recbole_llminit.llm.causal import load_llm
from recbole_llminit.llm.likelihood import greedy, log_likelihoods, title_loss
from recbole_llminit.model.allmrec.allmrec import ALLMRec, refuse_other
from recbole_llminit.model.allmrec.projection import item_projection, user_projection
from recbole_llminit.model.allmrec.prompt import PromptWriter
from recbole_llminit.model.allmrec.settings import RankBy, RankerSettings
from recbole_llminit.pretrained.checkpoint import load_frozen
from recbole_llminit.utils.errors import UserError


class ALLMRecRanker(SequentialRecommender):  # type: ignore[misc]
    """Trained projections of user states and joint item vectors into a language model's token space.

    A prompt lists the titles of the user's history and of the candidates, each followed by the item's
    projected vector. The loss is the cross-entropy of the next item's title. Differences from the
    published code: candidates are ranked by the likelihood of their titles, whereas the code generates a
    title and checks whether it contains the true one; and the user's vector is inserted at the template's
    ``{user}``, not before the first token.

    The language model and the first stage are not submodules, so a checkpoint holds only the projections.

    Reads `allmrec_stage1`, `allmrec_first`, `allmrec_llm`, `allmrec_llm_dtype`, `allmrec_title`,
    `allmrec_prompt`, `seed`, `device`, `eval_batch_size`, `valid_neg_sample_args`, `test_neg_sample_args`,
    and the keys of `RankerSettings`, `load_frozen`, `item_titles` and RecBole's sequential models.

    Raises:
        UserError: If the first stage, the language model or a setting do not fit the run.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.settings = RankerSettings.from_config(config)
        self.seed: int = config["seed"]
        frozen = load_frozen(config, "allmrec_stage1", dataset)
        if not isinstance(frozen.model, ALLMRec):
            raise UserError(f"allmrec_stage1: a {type(frozen.model).__name__}; expected an ALLMRec")
        first = config["allmrec_first"]
        self.stage1 = frozen
        self.first = load_frozen(config, "allmrec_first", dataset) if first else frozen
        self.stage1_hash = frozen.hash
        self.other_parameter_name = ["stage1_hash"]
        self.llm_vectors_hash = frozen.model.llm_vectors_hash
        dtype = str(config["allmrec_llm_dtype"])
        self.llm = load_llm(config["allmrec_llm"], dtype, config["device"], key="allmrec_llm")
        self.titles = item_titles(config, dataset, key="allmrec_title")
        limits = self.settings.title_tokens, self.settings.history
        self.writer = PromptWriter(self.llm, str(config["allmrec_prompt"]), self.titles, *limits)
        self.writer.check(_most_candidates(config, self.settings))
        _check_batch(config)
        with torch.no_grad():
            joint = frozen.model.joint(torch.arange(self.n_items, device=config["device"]))
        self.register_buffer("joint", joint, persistent=False)
        self.user_projection = user_projection(frozen.model.item_vectors.shape[1], self.llm.width)
        self.item_projection = item_projection(joint.shape[1], self.llm.width)

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        """Return the mean cross-entropy of the target items' titles, each prompt with random candidates."""
        targets = interaction[self.ITEM_ID].tolist()
        prompts = [
            self._prompt(user, history, self._drawn(history, target))
            for (user, history), target in zip(self._rows(interaction), targets, strict=True)
        ]
        return title_loss(self.llm, prompts, [self.writer.targets[target] for target in targets])

    def predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of (user, candidate) rows, (batch,); one prompt ranks all rows of a user."""
        users = interaction[self.USER_ID]
        scores = torch.empty(len(users), device=users.device)
        for user in users.unique():
            rows = (users == user).nonzero()[:, 0]
            (state, history) = next(self._rows(interaction[rows[:1].cpu()]))
            items, place = interaction[self.ITEM_ID][rows].unique(return_inverse=True)
            scores[rows] = self._ranked(int(user), state, history, items.tolist())[place]
        return scores

    def full_sort_predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of all items, (batch, n_items), with the best N re-ranked by the language model.

        The scores come from the model that ``allmrec_first`` names, or else from the first stage. Its N best
        items (``allmrec_rerank``) are put into the language model's order, and its N best scores are
        assigned to them in that order. Items that the language model scores equally keep their order.
        """
        scores = self.first.model.full_sort_predict(interaction).view(-1, self.n_items).clone()
        scores[:, 0] = -torch.inf
        best, items = scores.topk(min(self.settings.rerank, self.n_items - 1), dim=1)
        rows = zip(interaction[self.USER_ID].tolist(), self._rows(interaction), strict=True)
        for row, (user, (state, history)) in enumerate(rows):
            found, place = items[row].sort()
            again = torch.empty_like(best[row])
            again[place] = self._ranked(user, state, history, found.tolist())
            scores[row, items[row][again.argsort(descending=True, stable=True)]] = best[row]
        return scores

    def load_other_parameter(self, para: dict[str, Any] | None) -> None:
        """Refuse a checkpoint that was trained with another first stage."""
        refuse_other(para, "stage1_hash", self.stage1_hash, "allmrec_stage1")

    def _rows(self, interaction: Any) -> Iterator[tuple[torch.Tensor, list[int]]]:
        """Yield each row's projected user state, (width,), and its history, the oldest item first."""
        states = self.user_projection(self.stage1.model.users(interaction))
        sequences, lengths = interaction[self.ITEM_SEQ].tolist(), interaction[self.ITEM_SEQ_LEN].tolist()
        for state, sequence, length in zip(states, sequences, lengths, strict=True):
            yield state, sequence[:length]

    def _drawn(self, history: Sequence[int], target: int) -> list[int]:
        """Return the target item and random items that are not in the history, in random order."""
        free = np.setdiff1d(np.arange(1, self.n_items), [*history, target])
        others = np.random.choice(free, min(self.settings.candidates - 1, len(free)), replace=False)
        return [int(item) for item in np.random.permutation([target, *others])]

    def _prompt(self, state: torch.Tensor, history: Sequence[int], candidates: Sequence[int]) -> torch.Tensor:
        """Return the input vectors of a prompt, (length, width)."""
        prompt = self.writer.write(history, candidates)
        items = self.item_projection(self.joint[prompt.listed.to(self.joint.device)])
        return prompt.embedded(self.llm, state, items)

    def _ranked(
        self, user: int, state: torch.Tensor, history: Sequence[int], items: list[int]
    ) -> torch.Tensor:
        """Return the scores of the candidates `items`, ascending ids (n,), in the order of the ids.

        The prompt lists them in an order drawn from the seed and the user, because RecBole puts the target
        item first.
        """
        order = np.random.default_rng((self.seed, user)).permutation(len(items))
        prompt = self._prompt(state, history, [items[place] for place in order])
        if self.settings.rank_by is RankBy.GENERATION:
            answer = greedy(self.llm, prompt, self.writer.longest)
            hits = torch.tensor([self._written(item) == answer for item in items], device=prompt.device)
            return torch.where(hits, 0.0, -torch.inf)  # no item but the generated one is recommended
        titles = [self.writer.targets[item] for item in items]
        return log_likelihoods(self.llm, prompt, titles, self.settings.rows, self.settings.length_penalty)

    def _written(self, item: int) -> str:
        """Return an item's title as the model would generate it, cut as in the prompts."""
        return str(self.llm.tokenizer.decode(self.writer.titles[item])).strip()


def _check_batch(config: Any) -> None:
    """Refuse an ``eval_batch_size`` that would spread a user's candidates over several prompts."""
    for phase in ("valid", "test"):
        number = config[f"{phase}_neg_sample_args"]["sample_num"]
        if isinstance(number, int) and number + 1 > config["eval_batch_size"]:
            raise UserError(
                f"eval_batch_size {config['eval_batch_size']} is less than the {number + 1} candidates that "
                "are ranked together; raise it, and lower allmrec_llm_rows to use less memory"
            )


def _most_candidates(config: Any, settings: RankerSettings) -> int:
    """Return the largest number of candidates in a prompt of this run, in training or evaluation."""
    sampled = [config[f"{phase}_neg_sample_args"]["sample_num"] for phase in ("valid", "test")]
    ranked = [number + 1 if isinstance(number, int) else settings.rerank for number in sampled]
    return max(settings.candidates, *ranked)
