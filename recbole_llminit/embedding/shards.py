"""Encoding as work that can stop anywhere: texts in shards, each a file that appears when it is done."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.writing import replacing

Vectors = npt.NDArray[np.floating]
_TEXTS = 256  # of a shard, at least
_SHARDS = 1000  # about, at most


@dataclass(frozen=True)
class Shards:
    """Distinct texts cut into shards, and the folder that collects their vectors.

    Texts are sorted, the longest first: batches of like length waste little on padding, and what does
    not fit into memory fails at once. The folder's name holds a fingerprint of texts and encoder, so
    that a run goes on with its own shards only.
    """

    texts: tuple[str, ...]
    folder: Path

    @classmethod
    def plan(cls, texts: Sequence[str], settings: Mapping[str, Any], parent: Path, name: str) -> Shards:
        """Cut texts into shards; `settings` is everything else that the vectors depend on."""
        distinct = tuple(sorted(set(texts), key=lambda text: (-len(text), text)))
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for text in distinct:
            digest.update(text.encode() + b"\x1e")
        return cls(distinct, parent / f".{name}-{digest.hexdigest()[:16]}.parts")

    def __len__(self) -> int:
        return -(-len(self.texts) // self._size)

    @property
    def _size(self) -> int:
        return max(_TEXTS, -(-len(self.texts) // _SHARDS))

    def shard(self, number: int) -> tuple[str, ...]:
        """Return the texts of a shard."""
        return self.texts[number * self._size : (number + 1) * self._size]

    def missing(self, part: tuple[int, int] = (1, 1)) -> list[int]:
        """Return the numbers of the shards that have no vectors yet, of part i of n."""
        ours = range(part[0] - 1, len(self), part[1])
        return [number for number in ours if not self._file(number).is_file()]

    def encode(
        self, encode: Callable[[Sequence[str]], Vectors], part: tuple[int, int] = (1, 1), quiet: bool = False
    ) -> None:
        """Encode the missing shards, or those of them that are part i of n.

        Args:
            encode: From texts to vectors (n_texts, d_llm).
            part: (i, n), i from 1: every n-th shard, starting with the i-th.
            quiet: Show no progress bar.

        Raises:
            UserError: If vectors don't fit the texts or the shards before, or are not finite.
        """
        ours = range(part[0] - 1, len(self), part[1])
        todo = self.missing(part)
        total, left = (sum(len(self.shard(number)) for number in numbers) for numbers in (ours, todo))
        bar = tqdm(
            total=total, initial=total - left, unit=" texts", desc="encode", disable=quiet, smoothing=0.05
        )
        with bar:
            for number in todo:
                texts = self.shard(number)
                self._store(number, texts, encode(texts))
                bar.update(len(texts))

    def _store(self, number: int, texts: Sequence[str], vectors: Vectors) -> None:
        there = next(self.folder.glob("[0-9]*.npy"), None) if self.folder.is_dir() else None
        width = np.load(there, mmap_mode="r").shape[1] if there else vectors.shape[-1]
        if vectors.shape != (len(texts), width):
            raise UserError(f"the encoder gave {vectors.shape} for {len(texts)} texts of dimension {width}")
        if not np.isfinite(vectors).all():
            text = texts[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
            raise UserError(f"the encoder gave NaN or infinity for the text {text[:60]!r}")
        with replacing(self._file(number)) as temporary, temporary.open("wb") as out:
            np.save(out, vectors)

    def merge(self, texts: Sequence[str], dtype: str) -> Vectors:
        """Return the vectors (n_texts, d_llm) of texts in their order, memory-mapped.

        Raises:
            UserError: If shards are missing.
        """
        if missing := self.missing():
            raise UserError(
                f"{len(missing)} of {len(self)} shards have no vectors yet (the first is {missing[0] + 1}): "
                "run the parts that make them, or `encode` without --shard and --merge"
            )
        position = {text: row for row, text in enumerate(self.texts)}
        wanted = np.array([position[text] for text in texts], dtype=np.int64)
        order = np.argsort(wanted, kind="stable")
        cuts = np.searchsorted(wanted[order], np.arange(len(self) + 1) * self._size)
        width = np.load(self._file(0), mmap_mode="r").shape[1]
        whole = np.lib.format.open_memmap(
            self.folder / "whole.npy", mode="w+", dtype=np.dtype(dtype), shape=(len(texts), width)
        )
        for number in range(len(self)):
            rows = order[cuts[number] : cuts[number + 1]]
            whole[rows] = np.load(self._file(number))[wanted[rows] - number * self._size]
        return whole

    def remove(self) -> None:
        """Remove the folder; the vectors are elsewhere by now."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npy"
