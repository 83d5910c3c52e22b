"""Write A-LLMRec's prompts: a template's text, titles, and positions for the vectors of user and items.

Kim et al., KDD 2024 (arXiv 2404.11343), section 4.2 and figure 3. The published code adds tokens to the
vocabulary and overwrites their embeddings; here no token is added, and the vectors are inserted instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter

import torch

from recbole_llminit.llm.causal import CausalLM
from recbole_llminit.utils.errors import UserError

VECTOR = -1  # stands for a token id at positions that hold the vector of the user or of an item
_SLOTS = ("user", "history", "candidates")


@dataclass(frozen=True)
class Prompt:
    """A prompt of token ids, with positions that hold the vector of the user or of an item."""

    tokens: torch.Tensor  # (length,) int64, token ids, and `VECTOR` at the positions of vectors
    items: torch.Tensor  # (length,) int64, item id at the position of an item's vector, 0 elsewhere

    def embedded(self, llm: CausalLM, user: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Return the vectors of all positions, (length, width).

        Args:
            llm: The language model that embeds the tokens.
            user: (width,) the user's vector.
            items: (n, width) the vectors of the items in `listed`, in that order.
        """
        device = user.device
        vectors = llm.embed(self.tokens.clamp(min=0).to(device)).to(user.dtype)
        places = (self.tokens == VECTOR).nonzero()[:, 0].to(device)
        ours = self.items[self.tokens == VECTOR]
        order = torch.cat([user[None], items])[_from_user_and_items(ours).to(device)]
        return vectors.index_copy(0, places, order)

    @property
    def listed(self) -> torch.Tensor:
        """The ids of the items whose vectors the prompt holds, in the order of their positions."""
        items = self.items[self.tokens == VECTOR]
        return items[items > 0]


def _from_user_and_items(items: torch.Tensor) -> torch.Tensor:
    """Return the row of each vector in the table (user, first item, second item, ...); id 0 is the user."""
    return torch.where(items > 0, (items > 0).cumsum(dim=0), 0)


class PromptWriter:
    """A writer of prompts of one template that fit a language model's context.

    Args:
        llm: The language model.
        template: Text with ``{user}``, ``{history}`` and ``{candidates}``, each once.
        titles: (n_items,) titles by item id.
        most: The largest number of tokens of a title; longer titles are cut.
        history: The largest number of items of a history; the latest are kept.

    Raises:
        UserError: If the template does not contain each of the three exactly once.
    """

    def __init__(self, llm: CausalLM, template: str, titles: Sequence[str], most: int, history: int) -> None:
        self._pieces = [(llm.tokens(text), slot) for text, slot in _parsed(template)]
        self._start, self._comma = llm.start, llm.tokens(",")
        self._context, self._history = llm.context, history
        self.titles = [llm.tokens(f" {title}")[:most] for title in titles]
        self.targets = [[*title, llm.end] for title in self.titles]
        self.longest = max(map(len, self.targets))

    def check(self, candidates: int) -> None:
        """Verify that every prompt of `candidates` candidates fits the context with a history of one item.

        Raises:
            UserError: If a prompt with the longest titles does not fit.
        """
        listed = (candidates + 1) * (self.longest + len(self._comma))
        least = len(self._start) + sum(len(text) for text, _ in self._pieces) + 1 + listed + self.longest
        if least > self._context:
            raise UserError(
                f"a prompt of {candidates} candidates may take {least} positions and the language model has "
                f"{self._context}: lower allmrec_title_tokens or the number of candidates"
            )

    def write(self, history: Sequence[int], candidates: Sequence[int]) -> Prompt:
        """Return the prompt of a user; the oldest items of the history are left out until it fits."""
        kept = list(history[-self._history :])
        while len(kept) > 1 and self._length(kept, candidates) + self.longest > self._context:
            kept = kept[1:]
        tokens, items = list(self._start), [0] * len(self._start)
        for text, slot in self._pieces:
            tokens += text
            items += [0] * len(text)
            listed = {"history": kept, "candidates": candidates}.get(slot or "", ())
            if slot == "user":
                tokens.append(VECTOR)
                items.append(0)
            for n, item in enumerate(listed):
                words = [*(self._comma if n else []), *self.titles[item]]
                tokens += [*words, VECTOR]
                items += [0] * len(words) + [item]
        return Prompt(torch.tensor(tokens), torch.tensor(items))

    def _length(self, history: Sequence[int], candidates: Sequence[int]) -> int:
        fixed = len(self._start) + sum(len(text) for text, _ in self._pieces) + 1
        lists = [[len(self.titles[item]) + 1 for item in items] for items in (history, candidates)]
        return fixed + sum(sum(items) + max(len(items) - 1, 0) * len(self._comma) for items in lists)


def _parsed(template: str) -> list[tuple[str, str | None]]:
    """Return the template's texts, each with the slot after it.

    Spaces before the history and the candidates are removed because a title starts with a space.
    """
    try:
        parts = [(text, slot) for text, slot, _, _ in Formatter().parse(template)]
    except ValueError as error:
        raise UserError(f"allmrec_prompt '{template}': {error}") from None
    if sorted(slot for _, slot in parts if slot is not None) != sorted(_SLOTS):
        names = ", ".join(f"{{{slot}}}" for slot in _SLOTS)
        raise UserError(f"allmrec_prompt '{template}' must hold {names}, each once")
    return [(text if slot == "user" else text.rstrip(), slot) for text, slot in parts]
