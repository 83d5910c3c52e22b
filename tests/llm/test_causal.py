"""Language models: from a folder or a GGUF file, outside of any module, and refused in one line."""

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

CPU = torch.device("cpu")


def test_facts(llm: CausalLM) -> None:
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
    assert load_llm(str(folders["llama"]), "bfloat16", CPU).model.dtype == torch.bfloat16


def test_padding_on_the_left_changes_nothing(llm: CausalLM) -> None:
    """Positions are counted from the first token, whatever stands before it."""
    vectors = llm.embed(torch.tensor([[7, 8, 9]]))
    padded = torch.cat([torch.randn(1, 4, 16), vectors], dim=1)
    plain = llm(vectors, torch.ones(1, 3, dtype=torch.long), keep=1).logits
    other = llm(padded, torch.tensor([[0, 0, 0, 0, 1, 1, 1]]), keep=1).logits
    torch.testing.assert_close(plain, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "allmrec_llm is missing"),
        ("gone.gguf", "allmrec_llm 'gone.gguf': no such file"),
        ("no/such/model", "allmrec_llm 'no/such/model': "),
    ],
)
def test_no_such_model(name: str | None, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=message) as error:
        load_llm(name, "auto", CPU)
    assert "\n" not in str(error.value)


def test_wrong_precision(folders: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="'float61' must be one of auto, .*Did you mean 'float16'"):
        load_llm(str(folders["llama"]), "float61", CPU)


def test_folders_that_lack_something(tmp_path: Path) -> None:
    folder = tiny_llm(tmp_path / "whole")
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare, ignore=lambda *_: ["tokenizer.json", "tokenizer_config.json"])
    with pytest.raises(UserError, match="bare': the folder has no tokeniser"):
        load_llm(str(bare), "auto", CPU)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="allmrec_llm '.*whole': .*"):
        load_llm(str(folder), "auto", CPU)


def test_gguf_needs_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gguf").touch()
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ImportError, match=r"pip install 'recbole-llminit\[llm\]'"):
        load_llm(str(tmp_path / "a.gguf"), "auto", CPU)
