"""Files appear whole or not at all: they are written beside the target and then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a temporary path beside `file` and put it in its place once the block is through."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.chmod(0o644)  # safetensors makes files that only their owner can read
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(text: str, file: Path) -> None:
    """Write UTF-8 text to `file` in one step, making its folder."""
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(value: Any, file: Path) -> None:
    """Write `value` as JSON to `file` in one step, making its folder."""
    write_text(json.dumps(value, indent=2, default=str) + "\n", file)
