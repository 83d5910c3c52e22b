"""Downloads that go on where they stopped, and are checked."""

from __future__ import annotations

import time
from http.client import HTTPException, InvalidURL
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlparse
from urllib.request import Request, urlopen

from tqdm import tqdm

from recbole_llminit.prepare.files import sha256
from recbole_llminit.utils.errors import UserError

_CHUNK = 1 << 18  # bytes
_TRIES = 4
_TIMEOUT = 30  # seconds without a byte


def is_url(name: str) -> bool:
    """Say whether a name is a URL rather than a path."""
    return name.startswith(("http://", "https://"))


def file_name(url: str) -> str:
    """Return the name that a URL's file gets.

    Raises:
        UserError: If it is no URL.
    """
    try:
        return Path(unquote(urlparse(url).path)).name
    except ValueError as error:
        raise UserError(f"{url} is no URL: {error}") from None


def download(url: str, folder: Path, quiet: bool = False) -> Path:
    """Fetch a file into a folder, unless it is there; a broken download goes on where it stopped.

    Args:
        url: ``https://host/file``, with ``#sha256=...`` to have the file checked.
        folder: Where to put it, under the URL's file name.
        quiet: Show no progress bar.

    Raises:
        UserError: If the server can't be reached, refuses, or sends something else; says which file
            to put where instead.
    """
    url, _, expected = url.partition("#sha256=")
    file = folder / file_name(url)
    if file.is_file():
        verify(file, expected)
        return file
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    _fetch_patiently(url, part, _by_hand(file), quiet)
    try:
        verify(part, expected)
    except UserError:
        part.unlink()  # it can't be gone on with
        raise
    part.replace(file)
    return file


def _fetch_patiently(url: str, part: Path, by_hand: str, quiet: bool) -> None:
    """Fetch a partial file's rest, again if the connection fails or the server asks to wait."""
    for attempt in range(_TRIES):
        try:
            return _fetch(url, part, quiet)
        except HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise UserError(f"{url}: the server answers {error.code} {error.reason}; {by_hand}") from None
            reason: object = error
        except InvalidURL as error:
            raise UserError(f"{url} is no URL: {error}") from None
        except (OSError, HTTPException) as error:
            if isinstance(error, OSError) and error.errno and part.parent.is_dir() and _disk(error):
                raise
            reason = getattr(error, "reason", None) or " ".join(str(error).split())
        if attempt + 1 == _TRIES or (isinstance(reason, OSError) and reason.errno in (-2, -3, 101, 111)):
            raise UserError(f"{url} can't be fetched ({reason}); {by_hand}") from None
        time.sleep(2**attempt)


def _by_hand(file: Path) -> str:
    return f"get {file.name} elsewhere and put it into {file.parent}/"


def _disk(error: OSError) -> bool:
    return error.filename is not None or error.errno in (27, 28)  # file too large, disk full


def _fetch(url: str, part: Path, quiet: bool) -> None:
    """Append what is missing to a partial file."""
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urlopen(request, timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and have:  # nothing is missing, or the file has changed: verify tells
            return
        raise
    with answer:
        resumed = answer.status == 206
        have = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        bar = tqdm(
            total=total, initial=have, unit="B", unit_scale=True, desc=f"fetch {part.stem}", disable=quiet
        )
        with bar, part.open("ab" if resumed else "wb") as out:
            while chunk := answer.read(_CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise URLError(f"connection lost after {part.stat().st_size:,} of {total:,} bytes")


def verify(file: Path, expected: str) -> None:
    """Compare a file's SHA-256 with the one that is expected; nothing where none is.

    Raises:
        UserError: If they differ.
    """
    if expected and (found := sha256(file)) != expected.lower():
        name = file.with_name(file.name.removesuffix(".part"))
        raise UserError(f"{name}: its SHA-256 is {found}, expected {expected}; get it again, or mend the URL")
