"""A frozen causal language model: from the hub, from a folder, or from a GGUF file."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch

from recbole_llminit.utils.errors import UserError, nearest

DTYPES = ("auto", "float32", "bfloat16", "float16")


class CausalLM:
    """A model that is read and never trained, and its tokeniser.

    It is no module, so that a recommender which holds one neither saves nor trains it, and RecBole's
    FLOPs counter, which copies the recommender, does not copy it.

    Attributes:
        width: Of its token vectors.
        context: Most positions it was made for.
        end: Id of the token that ends a text.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.width = int(model.get_input_embeddings().embedding_dim)
        self.context = int(getattr(model.config, "max_position_embeddings", 0) or tokenizer.model_max_length)
        self.end = int(tokenizer.eos_token_id)
        self._takes_positions = "position_ids" in inspect.signature(model.forward).parameters

    def __deepcopy__(self, memo: Any) -> CausalLM:
        return self

    @property
    def start(self) -> list[int]:
        """Tokens that the tokeniser puts before every text: the beginning of a sequence, or nothing."""
        return list(self.tokenizer("").input_ids)

    def tokens(self, text: str) -> list[int]:
        """Return a text's tokens, without any that the tokeniser would add."""
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of tokens: (..., width)."""
        vectors: torch.Tensor = self.model.get_input_embeddings()(ids)
        return vectors

    def __call__(self, vectors: torch.Tensor, mask: torch.Tensor, keep: int, past: Any = None) -> Any:
        """Run the model on vectors that follow `past`.

        Args:
            vectors: (batch, length, width).
            mask: (batch, past length + length), 1 where there is something.
            keep: How many last positions get logits.
            past: Keys and values of what came before.

        Returns:
            The model's output: ``logits`` (batch, keep, vocabulary) and ``past_key_values``.
        """
        extra = {}
        if self._takes_positions:  # counted without the padding
            extra["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -vectors.shape[1] :]
        return self.model(
            inputs_embeds=vectors.to(self.model.dtype),
            attention_mask=mask,
            past_key_values=past,
            use_cache=not (torch.is_grad_enabled() and vectors.requires_grad),  # training reads it once
            logits_to_keep=keep,
            **extra,
        )


def load_llm(name: str | None, dtype: str, device: torch.device) -> CausalLM:
    """Load a causal language model and its tokeniser.

    Args:
        name: A name on the Hugging Face hub, a folder, or a ``.gguf`` file.
        dtype: One of `DTYPES`; ``auto`` is the one it was saved in.
        device: Where it computes.

    Raises:
        ImportError: If transformers, or what it needs to read GGUF, is not installed.
        UserError: If there is no such model, or it has no tokeniser.
    """
    if name is None:
        raise UserError("allmrec_llm is missing: name a causal model of the hub, a folder or a .gguf file")
    if dtype not in DTYPES:
        raise UserError(
            f"allmrec_llm_dtype '{dtype}' must be one of {', '.join(DTYPES)}.{nearest(dtype, DTYPES)}"
        )
    path = Path(name)
    if path.suffix == ".gguf":
        return _load(str(path.parent), name, dtype, device, gguf_file=_gguf(path))
    if path.is_dir() and not any(
        (path / file).is_file() for file in ("tokenizer.json", "tokenizer_config.json")
    ):
        raise UserError(
            f"allmrec_llm '{name}': the folder has no tokeniser (tokenizer.json); save it there too"
        )
    return _load(name, name, dtype, device)


def _gguf(path: Path) -> str:
    """Return the file's name if the file and what reads it are there."""
    if not path.is_file():
        raise UserError(f"allmrec_llm '{path}': no such file")
    for package in ("gguf", "accelerate"):
        try:
            __import__(package)
        except ImportError as error:
            raise ImportError(
                f"a GGUF file needs {package}: pip install 'recbole-llminit[llm]'", name=package
            ) from error
    return path.name


def _load(where: str, name: str, dtype: str, device: torch.device, **extra: str) -> CausalLM:
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise ImportError(
            "a language model needs transformers: pip install 'recbole-llminit[llm]'", name="transformers"
        ) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, **extra)
        precision = dtype if dtype == "auto" else getattr(torch, dtype)
        model = AutoModelForCausalLM.from_pretrained(where, dtype=precision, **extra).to(device)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"allmrec_llm '{name}': {reason}") from None
    if tokenizer.eos_token_id is None:
        raise UserError(f"allmrec_llm '{name}': its tokeniser has no end-of-text token; set eos_token in it")
    return CausalLM(model, tokenizer)
