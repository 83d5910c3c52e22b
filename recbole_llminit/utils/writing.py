"""Files appear whole or not at all: write beside the target, then rename."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
