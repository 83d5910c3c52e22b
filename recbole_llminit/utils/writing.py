"""Write files atomically: under a temporary name beside the target, and then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a temporary path beside `file`, and rename it to `file` if the block raises no error.

    The content is on the disk before the file is renamed, so that a power failure leaves the old file or the
    whole new one.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("r+b") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)  # files made by safetensors can be read by their owner only
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(text: str, file: Path) -> None:
    """Write UTF-8 text to `file` atomically, making its folder if needed."""
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(value: Any, file: Path) -> None:
    """Write `value` as JSON to `file` atomically, making its folder if needed."""
    write_text(json.dumps(value, indent=2, default=str) + "\n", file)
