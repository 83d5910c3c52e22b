"""Encoders, which turn texts into vectors and describe themselves for the table's card."""

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

    facts: dict[str, Any]  # fields of the card that describe the encoder

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Return vectors (n_texts, d_llm) float32 of texts, in their order."""
        ...

    def close(self) -> None:
        """End processes and close connections."""
        ...


@dataclass(frozen=True)
class EncoderSettings:
    """The encoder that the user chose; a table whose card has the same settings is not made again.

    Attributes:
        encoder: Name of a model on the hub, folder of a model, or an endpoint's name of a model.
        revision: Revision of a model on the hub.
        prompt: Text that is put before each item's text.
        max_length: Number of tokens after which a text is cut; None for the model's limit.
        precision: Precision in which the model computes: ``fp32``, ``fp16`` or ``bf16``.
        base_url: Address of an endpoint with OpenAI's protocol; None for sentence-transformers.
    """

    encoder: str
    revision: str | None = None
    prompt: str | None = None
    max_length: int | None = None
    precision: str = "fp32"
    base_url: str | None = None

    @property
    def name(self) -> str:
        """Name of the encoder on a card: the name on the hub, or the last part of the folder."""
        return Path(self.encoder).resolve().name if Path(self.encoder).is_dir() else self.encoder

    @property
    def weights(self) -> str | None:
        """Hash of the weights if the encoder is a folder, else None."""
        return None if self.base_url else _weights(Path(self.encoder))

    @property
    def card_precision(self) -> str | None:
        """Precision on a card; None for an endpoint, whose precision is not known."""
        return None if self.base_url else self.precision


class SentenceEncoder:
    """A model of sentence-transformers on one device, or on several by the library's process pool.

    Args:
        settings: Settings of the encoder.
        devices: Devices such as ``cuda:0``; ``cpu`` may be repeated. Empty for the best available one.
        batch_size: Number of texts per step.
        quiet: Show no progress bar.

    Raises:
        ImportError: If sentence-transformers is not installed.
        UserError: If the model can't be loaded, or if a device or a setting can't be used.
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
    """Load a model of sentence-transformers.

    Args:
        encoder: Name of the model on the hub, or its folder.
        revision: Revision of a model on the hub.
        device: Device such as ``cuda:0``; None for the best available one.
        quiet: Show no progress bar.

    Raises:
        ImportError: If sentence-transformers is not installed.
        UserError: If the model can't be loaded.
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
    """Return the commit of a model on the hub, or the hash of a folder's weights."""
    if not Path(settings.encoder).is_dir():
        config = getattr(getattr(model[0], "auto_model", None), "config", None)
        return getattr(config, "_commit_hash", None) or settings.revision
    return settings.weights


def _check_devices(devices: Sequence[str]) -> None:
    import torch

    for device in devices:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:  # AssertionError if PyTorch is built without CUDA
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
    kinds = ("*.safetensors", "*.bin", "*.json", "*.txt")  # settings change vectors too, such as pooling
    files = sorted(file for kind in kinds for file in folder.rglob(kind))
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 22):
                digest.update(chunk)
    return f"files sha256 {digest.hexdigest()}" if files else None


def _pooling(model: Iterable[object]) -> str | None:
    """Return how a sentence-transformers model pools tokens, according to its configuration."""
    for module in model:
        if type(module).__name__ == "Pooling":
            config: dict[str, object] = module.get_config_dict()  # type: ignore[attr-defined]
            modes = [key.removeprefix("pooling_mode_") for key, on in config.items() if on is True]
            return str(config.get("pooling_mode") or "+".join(modes))
    return None
