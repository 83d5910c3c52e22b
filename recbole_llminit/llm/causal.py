"""A frozen causal language model that runs in this process: from the hub, a folder, or a GGUF file."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from recbole_llminit.utils.errors import UserError, nearest

DTYPES = ("auto", "float32", "bfloat16", "float16")


class CausalLM:
    """A language model that is never trained, with its tokeniser; it implements `LanguageModel`.

    It is no torch module, so that a recommender which holds one neither saves nor trains it. A deep copy
    is the object itself, so that RecBole's FLOPs counter, which copies the recommender, does not copy it.

    Args:
        model: A model of transformers, with a head that predicts the next token.
        tokenizer: A tokeniser of transformers that has an end-of-text token.
        name: The model's name on the hub, or the name of the folder or file that holds it.

    Attributes:
        width: Width of the token vectors.
        context: Largest number of positions that the model supports.
        end: Id of the token that ends a text.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.width = int(model.get_input_embeddings().embedding_dim)
        self.context = int(getattr(model.config, "max_position_embeddings", 0) or tokenizer.model_max_length)
        self.end = int(tokenizer.eos_token_id)
        self._takes_positions = "position_ids" in inspect.signature(model.forward).parameters

    def __deepcopy__(self, memo: Any) -> CausalLM:
        return self

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The model's entry on a card; ``sha256`` is the hash of its weights and chat template."""
        digest = hashlib.sha256(str(self.tokenizer.chat_template).encode())
        for name, weights in self.model.named_parameters():
            digest.update(name.encode())
            digest.update(weights.cpu().contiguous().flatten().view(torch.uint8).numpy())
        return {
            "name": self.name,
            "kind": "gguf" if self.name.endswith(".gguf") else "transformers",
            "precision": str(self.model.dtype).removeprefix("torch."),
            "sha256": digest.hexdigest(),
        }

    @property
    def start(self) -> list[int]:
        """Tokens that the tokeniser puts before every text: a begin-of-sequence token, or none."""
        return list(self.tokenizer("").input_ids)

    def tokens(self, text: str) -> list[int]:
        """Return a text's tokens, without the special tokens that the tokeniser would add."""
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors (..., width) of token ids (...)."""
        vectors: torch.Tensor = self.model.get_input_embeddings()(ids)
        return vectors

    def __call__(self, vectors: torch.Tensor, mask: torch.Tensor, keep: int, past: Any = None) -> Any:
        """Run the model on vectors that follow `past`.

        Args:
            vectors: (batch, length, width).
            mask: (batch, past length + length), 1 where there is a token and 0 at padding.
            keep: Number of positions, counted from the end, for which logits are computed.
            past: Keys and values of the positions before `vectors`.

        Returns:
            The model's output: ``logits`` (batch, keep, vocabulary) and ``past_key_values``.
        """
        extra = {}
        if self._takes_positions:  # positions are counted without the padding
            extra["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -vectors.shape[1] :]
        return self.model(
            inputs_embeds=vectors.to(self.model.dtype),
            attention_mask=mask,
            past_key_values=past,
            # Training runs each sequence once, so it needs no keys and values for a continuation.
            use_cache=not (torch.is_grad_enabled() and vectors.requires_grad),
            logits_to_keep=keep,
            **extra,
        )

    def prompt_tokens(self, prompt: str) -> list[int]:
        """Return the tokens of a prompt, up to the start of the answer.

        A model with a chat template gets the prompt as a user's message, any other as plain text.
        """
        if not self.tokenizer.chat_template:
            return [*self.start, *self.tokens(prompt)]
        message = [{"role": "user", "content": prompt}]
        return self.tokens(
            self.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        )

    def generate(self, prompts: Sequence[str], max_tokens: int) -> list[str]:
        """Return the whole answer to each prompt, in their order; see `LanguageModel`.

        Prompts are run one at a time, so that an answer does not depend on the other prompts.

        Raises:
            UserError: If a prompt and its answer may be longer than the model's context.
        """
        return [self._answer(prompt, max_tokens) for prompt in prompts]

    def _answer(self, prompt: str, max_tokens: int) -> str:
        tokens = self.prompt_tokens(prompt)
        if not 0 < len(tokens) <= self.context - max_tokens:
            raise UserError(
                f"a prompt of {len(tokens)} tokens and an answer of {max_tokens} don't fit language model "
                f"'{self.name}', which reads 1 to {self.context}: shorten either"
            )
        vectors = self.embed(torch.tensor(tokens, device=self.model.device))
        answer: str = self.continuation(vectors, max_tokens, self._ends)
        return answer

    @property
    def _ends(self) -> set[int]:
        """Tokens that end an answer; a chat model may end its turn with a token other than end-of-text."""
        turn = self.model.generation_config.eos_token_id  # an id, a list of ids, or None
        return {self.end, *(turn if isinstance(turn, list) else [turn])} - {None}

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def continuation(self, prompt: torch.Tensor, most: int, ends: Collection[int]) -> str:
        """Return the text that greedy decoding (the likeliest token at each step) gives after a prompt.

        Args:
            prompt: Vectors (length, width).
            most: Largest number of tokens of the text.
            ends: Tokens that end the text and are not part of it.
        """
        written: list[int] = []
        mask = torch.ones(1, len(prompt), dtype=torch.long, device=prompt.device)
        vectors, past = prompt[None], None
        while len(written) < most:
            output = self(vectors, mask, keep=1, past=past)
            token = int(output.logits[0, -1].argmax())
            if token in ends:
                break
            written.append(token)
            mask = F.pad(mask, (0, 1), value=1)
            vectors, past = self.embed(torch.tensor([[token]], device=prompt.device)), output.past_key_values
        return str(self.tokenizer.decode(written, skip_special_tokens=True))

    def close(self) -> None:
        """Do nothing: the memory is freed once no reference to the model is left."""


def load_llm(name: str | None, dtype: str, device: torch.device, *, key: str) -> CausalLM:
    """Load a causal language model and its tokeniser.

    Args:
        name: A name on the Hugging Face hub, a folder, or a ``.gguf`` file.
        dtype: One of `DTYPES`; ``auto`` is the precision in which the model was saved.
        device: The device that the model runs on.
        key: Config key that holds `name`, for messages; the key of `dtype` is ``<key>_dtype``.

    Raises:
        ImportError: If transformers, or a package that it needs to read GGUF, is not installed.
        UserError: If `name` is None, `dtype` is unknown, the model does not exist or can't be loaded, or it
            has no tokeniser with an end-of-text token.
    """
    if name is None:
        raise UserError(f"{key} is missing: name a causal model of the hub, a folder or a .gguf file")
    if dtype not in DTYPES:
        raise UserError(f"{key}_dtype '{dtype}' must be one of {', '.join(DTYPES)}.{nearest(dtype, DTYPES)}")
    path = Path(name)
    if path.suffix == ".gguf":
        return _load(str(path.parent), name, dtype, device, key, gguf_file=_gguf(path, key))
    if path.is_dir() and not any(
        (path / file).is_file() for file in ("tokenizer.json", "tokenizer_config.json")
    ):
        raise UserError(f"{key} '{name}': the folder has no tokeniser (tokenizer.json); save it there too")
    return _load(name, name, dtype, device, key)


def _gguf(path: Path, key: str) -> str:
    """Return the file's name; check that the file exists and the packages to read it are installed."""
    if not path.is_file():
        raise UserError(f"{key} '{path}': no such file")
    for package in ("gguf", "accelerate"):
        try:
            __import__(package)
        except ImportError as error:
            raise ImportError(
                f"a GGUF file needs {package}: pip install 'recbole-llminit[llm]'", name=package
            ) from error
    return path.name


def _load(where: str, name: str, dtype: str, device: torch.device, key: str, **extra: str) -> CausalLM:
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
        raise UserError(f"{key} '{name}': {reason}") from None
    if tokenizer.eos_token_id is None:
        raise UserError(f"{key} '{name}': its tokeniser has no end-of-text token; set eos_token in it")
    path = Path(name)
    return CausalLM(model, tokenizer, path.resolve().name if path.exists() else name)
