"""Encode texts in shards, each stored in a file when it is finished, so that the work may be interrupted."""

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
_TEXTS = 256  # least number of texts per shard
_SHARDS = 1000  # largest number of shards


@dataclass(frozen=True)
class Shards:
    """Distinct texts cut into shards, and the folder that collects their vectors.

    Texts are sorted by length, the longest first: a batch of texts of similar length needs little padding,
    and a batch that does not fit into memory fails at the start. The folder's name contains a hash of the
    texts and of the encoder's settings, so that a run continues only with shards that belong to it.
    """

    texts: tuple[str, ...]
    folder: Path

    @classmethod
    def plan(cls, texts: Sequence[str], settings: Mapping[str, Any], parent: Path, name: str) -> Shards:
        """Return the distinct texts cut into shards, whose folder lies in `parent` and starts with `name`.

        `settings` holds everything else that the vectors depend on.
        """
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
        """Return the numbers of the shards in part i of n, from 1, that have no vectors yet."""
        ours = range(part[0] - 1, len(self), part[1])
        return [number for number in ours if not self._file(number).is_file()]

    def encode(
        self, encode: Callable[[Sequence[str]], Vectors], part: tuple[int, int] = (1, 1), quiet: bool = False
    ) -> None:
        """Encode the missing shards of part i of n, and store each when it is finished.

        Args:
            encode: Function that turns texts into vectors (n_texts, d_llm).
            part: (i, n), i from 1: every n-th shard, starting with the i-th.
            quiet: Show no progress bar.

        Raises:
            UserError: If the vectors don't fit the texts or earlier shards, or are not finite.
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
        """Remove the folder with all shards, after the table has been written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npy"
