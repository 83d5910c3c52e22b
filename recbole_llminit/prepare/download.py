"""Download files, continue after a broken connection, and check the SHA-256."""

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
_TIMEOUT = 30  # seconds without receiving a byte


def is_url(name: str) -> bool:
    """Return whether a name is a URL rather than a path."""
    return name.startswith(("http://", "https://"))


def file_name(url: str) -> str:
    """Return the file name under which the file of a URL is saved.

    Raises:
        UserError: If `url` is not a valid URL.
    """
    try:
        return Path(unquote(urlparse(url).path)).name
    except ValueError as error:
        raise UserError(f"{url} is no URL: {error}") from None


def download(url: str, folder: Path, quiet: bool = False) -> Path:
    """Download a file into a folder, unless the folder has it, and return its path.

    The bytes received are kept in a file ``.part``, from which a later call continues.

    Args:
        url: ``https://host/file``; with ``#sha256=...`` at its end, the file is checked.
        folder: Folder of the file, which gets the URL's file name.
        quiet: Show no progress bar.

    Raises:
        UserError: If the server can't be reached or refuses, or if the file's SHA-256 is another one.
            If nothing was received, the message says which file to get elsewhere and where to put it.
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
        part.unlink()  # a later call could not continue from a wrong file
        raise
    part.replace(file)
    return file


def _fetch_patiently(url: str, part: Path, by_hand: str, quiet: bool) -> None:
    """Fetch the rest of a partial file; try again if the connection fails, or after status 429 or 5xx.

    An error of the local disk is raised as it is.
    """
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
    # Without a file name or these numbers it is an error of the connection, which may be tried again.
    return error.filename is not None or error.errno in (27, 28)  # file too large, disk full


def _fetch(url: str, part: Path, quiet: bool) -> None:
    """Append the missing bytes to a partial file."""
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urlopen(request, timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and have:  # the file is complete, or another one, which `verify` finds
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
    """Check that a file has the SHA-256 `expected`; an empty `expected` accepts every file.

    Raises:
        UserError: If the file has another SHA-256.
    """
    if expected and (found := sha256(file)) != expected.lower():
        name = file.with_name(file.name.removesuffix(".part"))
        raise UserError(f"{name}: its SHA-256 is {found}, expected {expected}; get it again, or mend the URL")
