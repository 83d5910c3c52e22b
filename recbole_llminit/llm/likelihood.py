"""Score titles after a prompt by a language model (loss and likelihoods), and generate a title."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from recbole_llminit.llm.causal import CausalLM

_IGNORED = -100


def title_loss(
    llm: CausalLM, prompts: Sequence[torch.Tensor], targets: Sequence[Sequence[int]]
) -> torch.Tensor:
    """Return the cross-entropy of the titles after their prompts, the mean over all target tokens.

    This is equation 8 of A-LLMRec.

    Args:
        llm: The language model.
        prompts: Vectors (length, width) of each row's prompt.
        targets: Tokens of each row's title, with the end-of-text token.
    """
    device = prompts[0].device
    rows, labels = [], []
    for prompt, target in zip(prompts, targets, strict=True):
        ids = torch.tensor(target, device=device)
        rows.append(torch.cat([prompt, llm.embed(ids[:-1]).to(prompt.dtype)]).flip(0))
        labels.append(ids.flip(0))
    lengths = torch.tensor([len(row) for row in rows], device=device)
    # Rows are padded on the left, so that all targets end at the last positions, which get logits.
    vectors = pad_sequence(rows, batch_first=True).flip(1)
    longest = vectors.shape[1]
    mask = (torch.arange(longest, device=device) >= longest - lengths.unsqueeze(1)).long()
    wanted = pad_sequence(labels, batch_first=True, padding_value=_IGNORED).flip(1)
    logits = llm(vectors, mask, keep=wanted.shape[1]).logits
    return F.cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), ignore_index=_IGNORED)


@torch.no_grad()  # type: ignore[untyped-decorator]
def log_likelihoods(
    llm: CausalLM,
    prompt: torch.Tensor,
    titles: Sequence[Sequence[int]],
    rows: int,
    length_penalty: float,
) -> torch.Tensor:
    """Return log p(title | prompt) / length ** length_penalty for each title: (n_titles,) float32.

    The prompt is run once; its keys and values are reused for all titles.

    Args:
        llm: The language model.
        prompt: Vectors (length, width).
        titles: Tokens of each title, with the end-of-text token.
        rows: Number of titles that are run together, which bounds the memory.
        length_penalty: 1 gives the mean over the tokens, 0 the sum.
    """
    ones = torch.ones(1, len(prompt), dtype=torch.long, device=prompt.device)
    first = llm(prompt[None], ones, keep=1)
    scores = []
    for start in range(0, len(titles), rows):
        ids = [torch.tensor(title, device=prompt.device) for title in titles[start : start + rows]]
        past = copy.deepcopy(first.past_key_values)
        past.batch_repeat_interleave(len(ids))
        scores.append(_continued(llm, first.logits, past, len(prompt), ids))
    lengths = torch.tensor([len(title) for title in titles], device=prompt.device)
    return torch.cat(scores) / lengths**length_penalty


def _continued(
    llm: CausalLM, first: torch.Tensor, past: object, length: int, ids: list[torch.Tensor]
) -> torch.Tensor:
    """Return the log-probability of each row of tokens after a prompt: (n_rows,) float32.

    Args:
        llm: The language model.
        first: Logits (1, 1, vocabulary) of the first token after the prompt.
        past: The prompt's keys and values, one copy for each row; they are extended.
        length: Length of the prompt.
        ids: The tokens of each row.
    """
    wanted = pad_sequence(ids, batch_first=True, padding_value=_IGNORED)
    logits = first.expand(len(ids), 1, -1)
    fed = wanted[:, :-1]
    if fed.shape[1]:
        mask = torch.cat([fed.new_ones(len(ids), length), (fed != _IGNORED).long()], dim=1)
        more = llm(llm.embed(fed.clamp(min=0)), mask, keep=fed.shape[1], past=past).logits
        logits = torch.cat([logits, more], dim=1)
    losses = F.cross_entropy(logits.float().transpose(1, 2), wanted, ignore_index=_IGNORED, reduction="none")
    return -losses.sum(dim=1)


def greedy(llm: CausalLM, prompt: torch.Tensor, most: int) -> str:
    """Return the first line of the text that greedy decoding gives after a prompt.

    The published code's repetition penalty of 1.5 is not applied: it forbids titles that repeat a word.

    Args:
        llm: The language model.
        prompt: Vectors (length, width).
        most: Largest number of tokens of the text.
    """
    text = llm.continuation(prompt, most, {llm.end})
    return next(iter(text.strip().splitlines()), "").strip()
