"""Encoders: text to vectors, with what the card says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from recbole_llminit.utils.errors import UserError

Vectors = npt.NDArray[np.float32]
PRECISIONS = ("fp32", "fp16", "bf16")


class Encoder(Protocol):
    """Anything that turns texts into vectors."""

    facts: dict[str, Any]  # fields of the card that describe it

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Return vectors (n_texts, d_llm) float32 of texts, in their order."""
        ...

    def close(self) -> None:
        """Let go of processes and connections."""
        ...


@dataclass(frozen=True)
class EncoderSettings:
    """What the user chose; a table whose card says the same need not be made again.

    Attributes:
        encoder: A model's name on the hub, the folder that holds one, or an endpoint's model.
        revision: Of a model on the hub.
        prompt: Text put before each item's.
        max_length: Tokens after which a text is cut; None: the model's own limit.
        precision: ``fp32``, ``fp16`` or ``bf16``, in which the model computes.
        base_url: Of an endpoint that speaks OpenAI's protocol; None: sentence-transformers.
    """

    encoder: str
    revision: str | None = None
    prompt: str | None = None
    max_length: int | None = None
    precision: str = "fp32"
    base_url: str | None = None

    @property
    def name(self) -> str:
        """Name of the encoder on a card: the hub's, or the folder's last part."""
        return Path(self.encoder).resolve().name if Path(self.encoder).is_dir() else self.encoder

    @property
    def weights(self) -> str | None:
        """Hash of the weights, if the encoder is a folder."""
        return None if self.base_url else _weights(Path(self.encoder))

    @property
    def card_precision(self) -> str | None:
        """Precision as a card has it; an endpoint does not tell."""
        return None if self.base_url else self.precision


class SentenceEncoder:
    """A model of sentence-transformers on one device, or on several by its own process pool.

    Args:
        settings: See `EncoderSettings`.
        devices: Such as ``cuda:0``, or ``cpu`` several times; empty: the best one there is.
        batch_size: Texts per step.

    Raises:
        ImportError: If sentence-transformers is not installed.
        UserError: If there is no such model.
    """

    def __init__(
        self,
        settings: EncoderSettings,
        devices: Sequence[str] = (),
        batch_size: int = 32,
        quiet: bool = False,
    ) -> None:
        _check_devices(devices)
        if settings.precision not in PRECISIONS:
            raise UserError(f"--precision '{settings.precision}' must be one of {', '.join(PRECISIONS)}")
        device = devices[0] if devices else None
        model = sentence_transformer(settings.encoder, settings.revision, device, quiet)
        model = {"fp32": model.float, "fp16": model.half, "bf16": model.bfloat16}[settings.precision]()
        if settings.max_length:
            _check_length(model, settings.max_length)
            model.max_seq_length = settings.max_length
        self._model, self._batch_size, self._prompt = model, batch_size, settings.prompt
        self._pool = model.start_multi_process_pool(list(devices)) if len(devices) > 1 else None
        self.facts = {
            "encoder": settings.name,
            "revision": _revision(model, settings),
            "pooling": _pooling(model),
            "prompt": settings.prompt,
            "max_length": model.max_seq_length,
            "precision": settings.precision,
        }

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Return vectors (n_texts, d_llm) float32 of texts, in their order."""
        vectors = self._model.encode(
            list(texts),
            prompt=self._prompt,
            batch_size=self._batch_size,
            show_progress_bar=False,
            pool=self._pool,
            chunk_size=self._batch_size if self._pool else None,
        )
        return np.asarray(vectors, dtype=np.float32)

    def close(self) -> None:
        """Stop the process pool."""
        if self._pool:
            self._model.stop_multi_process_pool(self._pool)


def sentence_transformer(
    encoder: str, revision: str | None = None, device: str | None = None, quiet: bool = False
) -> Any:
    """Return a model of sentence-transformers.

    Args:
        encoder: Its name on the hub, or the folder that holds it.
        revision: Of a model on the hub.
        device: None: the best one there is.
        quiet: Show no progress bar.

    Raises:
        ImportError: If sentence-transformers is not installed.
        UserError: If there is no such model.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        if error.name != "sentence_transformers":
            raise
        raise ImportError(
            "encoding needs sentence-transformers: pip install 'recbole-llminit[encode]'",
            name="sentence_transformers",
        ) from error
    if quiet:
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(encoder, revision=revision, device=device)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"encoder '{encoder}': {reason}; give the name of a model on the hub, or a folder that holds one"
        ) from None


def _revision(model: Any, settings: EncoderSettings) -> str | None:
    """Return the hub's commit, or the hash of a folder's weights."""
    if not Path(settings.encoder).is_dir():
        config = getattr(getattr(model[0], "auto_model", None), "config", None)
        return getattr(config, "_commit_hash", None) or settings.revision
    return settings.weights


def _check_devices(devices: Sequence[str]) -> None:
    import torch

    for device in devices:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:  # the latter: built without CUDA
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"--device '{device}' can't be used: {reason}") from None


def _check_length(model: Any, length: int) -> None:
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    most = getattr(config, "max_position_embeddings", None)
    if most and length > most:
        raise UserError(f"--max-length {length}: this encoder reads at most {most} tokens")


def _weights(folder: Path) -> str | None:
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    kinds = ("*.safetensors", "*.bin", "*.json", "*.txt")  # settings decide too: how tokens are pooled, say
    files = sorted(file for kind in kinds for file in folder.rglob(kind))
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 22):
                digest.update(chunk)
    return f"files sha256 {digest.hexdigest()}" if files else None


def _pooling(model: Iterable[object]) -> str | None:
    """Return how a sentence-transformers model pools tokens, as its own configuration says."""
    for module in model:
        if type(module).__name__ == "Pooling":
            config: dict[str, object] = module.get_config_dict()  # type: ignore[attr-defined]
            modes = [key.removeprefix("pooling_mode_") for key, on in config.items() if on is True]
            return str(config.get("pooling_mode") or "+".join(modes))
    return None
