"""Prompts: every title stands with its vector, and the prompt fits into the context, whatever the titles."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from recbole_llminit.llm.causal import CausalLM
from recbole_llminit.model.allmrec.prompt import VECTOR, Prompt, PromptWriter
from recbole_llminit.utils.errors import UserError

TITLES = ["", 'Folder, 8.5" x 11"', "Ink", "Ink", "{user} pen", "No Title"]
TEMPLATE = "{user} took{history}. From{candidates}. Next:"


def shown(llm: CausalLM, prompt: Prompt) -> str:
    """Return a prompt as text, with each vector written as <id of the item>."""
    text, run = "", []
    for token, item in zip(prompt.tokens.tolist(), prompt.items.tolist(), strict=True):
        if token == VECTOR:
            text += llm.tokenizer.decode(run) + f"<{item}>"
            run = []
        else:
            run.append(token)
    return text + llm.tokenizer.decode(run)


def writer(llm: CausalLM, template: str = TEMPLATE, most: int = 20, history: int = 10) -> PromptWriter:
    return PromptWriter(llm, template, TITLES, most, history)


def test_a_prompt_as_a_reader_sees_it(llm: CausalLM) -> None:
    """Titles with quotes or braces, and titles that occur twice, are written like any other."""
    prompt = writer(llm).write([1, 2], [3, 4])
    start = llm.tokenizer.decode(llm.start)
    expected = '<0> took Folder, 8.5" x 11"<1>, Ink<2>. From Ink<3>, {user} pen<4>. Next:'
    assert shown(llm, prompt) == start + expected
    assert prompt.listed.tolist() == [1, 2, 3, 4]


def test_slots_in_any_order(llm: CausalLM) -> None:
    prompt = writer(llm, "From{candidates} for {user}, who took {history}:").write([2], [4, 1])
    expected = 'From {user} pen<4>, Folder, 8.5" x 11"<1> for <0>, who took Ink<2>:'
    assert shown(llm, prompt) == llm.tokenizer.decode(llm.start) + expected


def test_history_and_titles_are_cut(llm: CausalLM) -> None:
    prompt = writer(llm, most=4, history=2).write([5, 4, 1], [2])
    assert shown(llm, prompt).endswith("<0> took {us<4>, Fol<1>. From Ink<2>. Next:")


def test_targets_end(llm: CausalLM) -> None:
    assert writer(llm).targets[2] == [*llm.tokens(" Ink"), llm.end]


def test_vectors_stand_at_their_places(llm: CausalLM) -> None:
    prompt = writer(llm).write([2, 1], [4, 3])
    user, items = torch.full((16,), 7.0), torch.arange(4.0)[:, None].expand(4, 16) + 10
    vectors = prompt.embedded(llm, user, items)
    places = (prompt.tokens == VECTOR).nonzero()[:, 0]
    assert vectors[places, 0].tolist() == [7, 10, 11, 12, 13]
    words = prompt.tokens != VECTOR
    torch.testing.assert_close(vectors[words], llm.embed(prompt.tokens[words]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    context=st.integers(60, 300),
    history=st.lists(st.integers(1, 5), min_size=1, max_size=30),
    candidates=st.lists(st.integers(1, 5), min_size=1, max_size=4),
)
def test_the_oldest_titles_drop_out_whole_until_it_fits(
    context: int, history: list[int], candidates: list[int], llm: CausalLM
) -> None:
    longer = writer(llm, history=30)
    longer._context = context
    try:
        longer.check(len(candidates))
    except UserError:
        return
    prompt = longer.write(history, candidates)
    assert len(prompt.tokens) + longer.longest <= context
    assert len(prompt.tokens) == longer._length(
        history[-(len(prompt.listed) - len(candidates)) :], candidates
    )
    listed = prompt.listed.tolist()
    kept = listed[: len(listed) - len(candidates)]
    assert kept == history[len(history) - len(kept) :]
    assert listed[len(kept) :] == candidates
    if len(kept) < len(history):  # one more would not have fitted
        more = longer._length(history[len(history) - len(kept) - 1 :], candidates)
        assert more + longer.longest > context


def test_a_context_that_is_too_small(llm: CausalLM) -> None:
    short = writer(llm)
    short._context = 200
    with pytest.raises(UserError, match="a prompt of 20 candidates may take .* has 200: lower"):
        short.check(20)
    short.check(2)


@pytest.mark.parametrize(
    "template", ["{user}{history}", "{user}{history}{candidates}{user}", "{user}{history}{items}", "{user"]
)
def test_templates_that_are_refused(template: str, llm: CausalLM) -> None:
    with pytest.raises(UserError, match="allmrec_prompt"):
        writer(llm, template)
