"""Check, hash, read and unpack raw files."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from recbole_llminit.dataset.card import RawFile
from recbole_llminit.utils.errors import UserError

Parser = Callable[[str], dict[str, Any]]
_CHUNK = 1 << 20  # bytes
# Errors of the archive readers; zipfile raises RuntimeError for an archive with a password.
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, RuntimeError)


def inspect(file: Path, url: str | None = None, quiet: bool = False) -> RawFile:
    """Return what the card records of a raw file, after checking that the file is complete.

    A gzip file is decompressed to its end, so that a truncated download is found before the work starts.

    Raises:
        UserError: If the file does not exist, is empty, or is a damaged gzip file.
    """
    if not file.is_file():
        raise UserError(f"{file} does not exist or is not a file")
    size = file.stat().st_size
    if not size:
        raise UserError(f"{file} is empty")
    bar = tqdm(total=size, unit="B", unit_scale=True, desc=f"check {file.name}", disable=quiet, leave=False)
    with bar:
        digest = sha256(file, bar.update)
    if file.suffix == ".gz":
        _read_to_the_end(file)
    return RawFile(file.name, size, digest, url)


def sha256(file: Path, progress: Callable[[int], object] = lambda size: None) -> str:
    """Return a file's SHA-256; `progress` is called with the number of bytes of each part that was read."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            progress(len(chunk))
    return digest.hexdigest()


def _read_to_the_end(file: Path) -> None:
    try:
        with gzip.open(file) as stream:
            while stream.read(_CHUNK):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{file} is not a whole gzip file ({error}); download it again") from None


@contextmanager
def open_text(file: Path, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Open a plain or gzip-compressed text file, in which only a newline ends a line.

    Raises:
        UserError: If the file is not text in `encoding`.
    """
    opened = gzip.open if file.suffix == ".gz" else open
    try:
        with opened(file, "rt", encoding=encoding, newline="\n") as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not {encoding} text: {error}") from None


def parse_json(line: str) -> dict[str, Any]:
    """Parse a line that holds a JSON object.

    Raises:
        ValueError: If it holds anything else, or a lone surrogate, which is not a character.
    """
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found a {type(value).__name__}")
    if "\\ud" in line or "\\uD" in line:
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate can't be written
    return value


def first_record(file: Path, parse: Parser = parse_json) -> dict[str, Any]:
    """Return the first line that is not blank, parsed, or an empty mapping; raises as :func:`records`."""
    return next(records(file, parse), {})


def records(file: Path, parse: Parser, skip: int = 0, encoding: str = "utf-8") -> Iterator[dict[str, Any]]:
    """Yield each line of a file, parsed; blank lines are left out.

    Args:
        file: A plain or gzip-compressed file.
        parse: Turns a line into a mapping, and raises ValueError for a line that it can't read.
        skip: Number of unreadable lines to leave out.
        encoding: Encoding of the file.

    Raises:
        UserError: If more than `skip` lines are unreadable; the message gives the line's number.
    """
    bad = 0
    with open_text(file, encoding) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield parse(line)
            except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
                bad += 1
                if bad > skip:
                    raise UserError(_bad_line(file, number, line, error, skip)) from None


def _bad_line(file: Path, number: int, line: str, error: Exception, skip: int) -> str:
    beginning = line.strip()[:40]
    found = f"found {beginning!r}" if not skip else f"{skip + 1} unreadable lines, the last {beginning!r}"
    return (
        f"{file}, line {number}: not what was expected ({' '.join(str(error).split())[:80]}); {found}. "
        f"Mend the file, or leave such lines out with --skip-bad-lines {max(10, skip * 10)}"
    )


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip or tar file into `folder` and return the folder that holds its files.

    Raises:
        UserError: If the archive is damaged, or a member's path leads outside `folder`.
    """
    folder.mkdir()
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                _refuse_climbers(archive, zipped.namelist(), folder)
                zipped.extractall(folder)
        else:
            with tarfile.open(archive) as taped:
                _refuse_climbers(archive, taped.getnames(), folder)
                taped.extractall(folder, filter="data")
    except OSError as error:
        if error.errno is not None:  # an error of the disk, not of the archive
            raise
        raise UserError(f"{archive} can't be unpacked: {error}") from None
    except _DAMAGE as error:
        raise UserError(f"{archive} can't be unpacked: {error}") from None
    inside = [path for path in folder.iterdir() if not path.name.startswith(("__", "."))]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _refuse_climbers(archive: Path, names: list[str], folder: Path) -> None:
    for name in names:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{archive} holds '{name}', which climbs out of the folder; not unpacked")
