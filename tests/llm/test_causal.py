"""Causal language models: loading, one-line errors, chat templates and greedy answers."""

from __future__ import annotations

import copy
import shutil
import sys
from pathlib import Path

import pytest
import torch

from recbole_llminit.llm.causal import CausalLM, load_llm
from recbole_llminit.utils.errors import UserError
from tests.conftest import tiny_llm
from tests.llm.conftest import KEY

CPU = torch.device("cpu")


def test_what_a_model_says_of_itself(llm: CausalLM) -> None:
    assert (llm.width, llm.context, llm.end) == (16, 512, 0)
    assert llm.tokenizer.decode(llm.tokens(" Größe")) == " Größe"
    assert llm.embed(torch.tensor([3, 4])).shape == (2, 16)


def test_it_is_frozen_and_not_copied(llm: CausalLM) -> None:
    assert copy.deepcopy(llm) is llm
    assert not llm.model.training
    assert not any(parameter.requires_grad for parameter in llm.model.parameters())
    holder = torch.nn.Module()
    holder.llm = llm
    assert not holder.state_dict()


def test_precision(folders: dict[str, Path]) -> None:
    assert load_llm(str(folders["llama"]), "bfloat16", CPU, key=KEY).model.dtype == torch.bfloat16


def test_facts_name_the_weights_and_not_the_place(folders: dict[str, Path], tmp_path: Path) -> None:
    """The facts do not depend on the parent folder, but on the weights."""
    here = load_llm(str(folders["llama"]), "float32", CPU, key=KEY)
    shutil.copytree(folders["llama"], tmp_path / folders["llama"].name)
    there = load_llm(str(tmp_path / folders["llama"].name), "auto", CPU, key=KEY)
    assert here.facts == there.facts
    assert (here.facts["name"], here.facts["precision"]) == (folders["llama"].name, "float32")
    half = load_llm(str(folders["llama"]), "bfloat16", CPU, key=KEY)
    assert half.facts["precision"] == "bfloat16"
    other = load_llm(str(folders["llama"]), "float32", CPU, key=KEY)
    other.model.get_input_embeddings().weight[0, 0] += 1
    assert len({model.facts["sha256"] for model in (here, half, other)}) == 3


def test_padding_on_the_left_changes_nothing(llm: CausalLM) -> None:
    """Positions are counted from the first token after the padding."""
    vectors = llm.embed(torch.tensor([[7, 8, 9]]))
    padded = torch.cat([torch.randn(1, 4, 16), vectors], dim=1)
    plain = llm(vectors, torch.ones(1, 3, dtype=torch.long), keep=1).logits
    other = llm(padded, torch.tensor([[0, 0, 0, 0, 1, 1, 1]]), keep=1).logits
    torch.testing.assert_close(plain, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "own_llm is missing"),
        ("gone.gguf", "own_llm 'gone.gguf': no such file"),
        ("no/such/model", "own_llm 'no/such/model': "),
    ],
)
def test_no_such_model(name: str | None, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=message) as error:
        load_llm(name, "auto", CPU, key=KEY)
    assert "\n" not in str(error.value)


def test_wrong_precision(folders: dict[str, Path]) -> None:
    with pytest.raises(
        UserError, match="own_llm_dtype 'float61' must be one of auto, .*Did you mean 'float16'"
    ):
        load_llm(str(folders["llama"]), "float61", CPU, key=KEY)


def test_folders_that_lack_something(tmp_path: Path) -> None:
    folder = tiny_llm(tmp_path / "whole")
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare, ignore=lambda *_: ["tokenizer.json", "tokenizer_config.json"])
    with pytest.raises(UserError, match="own_llm '.*bare': the folder has no tokeniser"):
        load_llm(str(bare), "auto", CPU, key=KEY)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="own_llm '.*whole': .*"):
        load_llm(str(folder), "auto", CPU, key=KEY)


def test_gguf_needs_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gguf").touch()
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ImportError, match=r"pip install 'recbole-llminit\[llm\]'"):
        load_llm(str(tmp_path / "a.gguf"), "auto", CPU, key=KEY)


def test_an_answer_is_what_transformers_writes(llm: CausalLM) -> None:
    """Decoding is greedy, up to the end-of-text token or the largest number of tokens."""
    for prompt in ("abc", "a toy, a pen and a"):
        ids = torch.tensor([llm.prompt_tokens(prompt)])
        expected = llm.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12, eos_token_id=llm.end
        )[0, ids.shape[1] :]
        assert llm.generate([prompt], 12) == [llm.tokenizer.decode(expected, skip_special_tokens=True)]


def test_a_chat_model_reads_a_message(llm: CausalLM) -> None:
    llm.tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[model] "
    )
    assert llm.tokenizer.decode(llm.prompt_tokens("rank")) == "[user] rank\n[model] "


def test_a_chat_model_may_end_its_turn_with_a_token_of_its_own(llm: CausalLM) -> None:
    answer = llm.generate(["abc"], 1)
    first = llm.model(torch.tensor([llm.prompt_tokens("abc")])).logits[0, -1].argmax().item()
    llm.model.generation_config.eos_token_id = [llm.end, first]
    assert (answer, llm.generate(["abc"], 1)) == ([llm.tokenizer.decode([first])], [""])


@pytest.mark.parametrize(("length", "most"), [(0, 5), (509, 4), (5, 508)])
def test_what_does_not_fit_the_context(llm: CausalLM, length: int, most: int) -> None:
    with pytest.raises(
        UserError, match=f"a prompt of {length} tokens and an answer of {most} don't fit"
    ) as error:
        llm.generate(["a" * length], most)
    assert "\n" not in str(error.value)


def test_the_longest_that_fits_the_context(llm: CausalLM) -> None:
    assert len(llm.generate(["a" * 500], 12)) == 1
