"""Likelihoods equal those of one plain run of the model over prompt and title."""

from __future__ import annotations

import pytest
import torch

from recbole_llminit.llm.causal import CausalLM
from recbole_llminit.llm.likelihood import greedy, log_likelihoods, title_loss

TITLES = [[5, 9, 12, 0], [5, 0], [0], [30, 31, 32, 33, 34, 0]]


def by_hand(llm: CausalLM, prompt: torch.Tensor, title: list[int]) -> float:
    """Sum the log-probabilities of a title's tokens, computed without cache, padding or batch."""
    ids = torch.tensor(title)
    vectors = torch.cat([prompt, llm.embed(ids)])[None]
    logits = llm.model(inputs_embeds=vectors).logits[0]
    logs = logits.log_softmax(dim=-1)[len(prompt) - 1 : -1]
    return float(logs[torch.arange(len(ids)), ids].sum())


@pytest.mark.parametrize("rows", [1, 3, 20])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 0.5])
def test_likelihoods_by_hand(rows: int, penalty: float, llm: CausalLM) -> None:
    prompt = torch.randn(11, 16)
    scores = log_likelihoods(llm, prompt, TITLES, rows, penalty)
    expected = [by_hand(llm, prompt, title) / len(title) ** penalty for title in TITLES]
    torch.testing.assert_close(scores, torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_a_prompt_that_could_learn_is_scored_like_any_other(llm: CausalLM) -> None:
    """Scores are the same outside RecBole's evaluation, where gradients are not switched off."""
    prompt = torch.randn(7, 16)
    learning = prompt.clone().requires_grad_()
    torch.testing.assert_close(
        log_likelihoods(llm, learning, TITLES, 20, 1.0), log_likelihoods(llm, prompt, TITLES, 20, 1.0)
    )
    assert greedy(llm, learning, 4) == greedy(llm, prompt, 4)


def test_probabilities_of_all_continuations_sum_to_one(llm: CausalLM) -> None:
    prompt = torch.randn(4, 16)
    every = [[token] for token in range(llm.model.config.vocab_size)]
    assert log_likelihoods(llm, prompt, every, 100, 0.0).exp().sum().item() == pytest.approx(1, abs=1e-4)


def test_loss_by_hand(llm: CausalLM) -> None:
    """The loss is the mean over all target tokens, for prompts and titles of different lengths."""
    prompts = [torch.randn(length, 16) for length in (3, 9, 6, 1)]
    logs = [by_hand(llm, prompt, title) for prompt, title in zip(prompts, TITLES, strict=True)]
    loss = title_loss(llm, prompts, TITLES)
    assert loss.item() == pytest.approx(-sum(logs) / sum(map(len, TITLES)), rel=1e-4)


def test_the_loss_teaches_the_prompt_and_not_the_model(llm: CausalLM) -> None:
    prompts = [torch.randn(length, 16, requires_grad=True) for length in (3, 5)]
    title_loss(llm, prompts, TITLES[:2]).backward()
    assert all(prompt.grad is not None and prompt.grad.abs().sum() > 0 for prompt in prompts)
    assert all(parameter.grad is None for parameter in llm.model.parameters())


def test_greedy_takes_the_likeliest_token_each_time(llm: CausalLM) -> None:
    prompt = torch.randn(6, 16)
    text = greedy(llm, prompt, 5)
    ids: list[int] = []
    for _ in range(5):
        so_far = torch.cat([prompt, llm.embed(torch.tensor(ids, dtype=torch.long))])[None]
        token = int(llm.model(inputs_embeds=so_far).logits[0, -1].argmax())
        if token == llm.end:
            break
        ids.append(token)
    written = llm.tokenizer.decode(ids, skip_special_tokens=True).strip().splitlines()
    assert text == (written[0].strip() if written else "")
