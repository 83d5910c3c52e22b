"""The raw files of a recipe, made local: found, downloaded, unpacked, checked."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from recbole_llminit.dataset.card import RawFile
from recbole_llminit.prepare.download import download, file_name, is_url, verify
from recbole_llminit.prepare.files import inspect, unpack
from recbole_llminit.prepare.recipe import Recipe
from recbole_llminit.prepare.sources import Inputs, Source
from recbole_llminit.utils.errors import UserError

RAW = "raw"  # folder of a dataset's raw files, and of its downloads


def local_inputs(
    recipe: Recipe, source: Source, folder: Path, work: Path, skip_bad_lines: int, quiet: bool
) -> tuple[Inputs, list[RawFile]]:
    """Return where the raw files lie, and what the card says of them.

    A URL is looked for under its file's name in ``--path`` and in the dataset's folder ``raw/`` before
    it is downloaded there.

    Args:
        recipe: Names files, folders or URLs.
        source: Says which of them have to be there.
        folder: The dataset's.
        work: Where archives are unpacked.
        skip_bad_lines: Passed on to the source.
        quiet: Show no progress bars.

    Raises:
        UserError: If an input is missing, damaged or can't be fetched.
    """
    found: dict[str, Path] = {}
    facts: list[RawFile] = []
    for role in ("reviews", "metadata", "path"):
        given = getattr(recipe, role)
        if given is None and role in source.files:
            raise UserError(f"source '{recipe.source}' needs --{role}: a file or URL{_hint(role)}")
        if given is None or (role == "path" and "path" not in source.files):
            continue
        url = given if is_url(given) else None
        file = _fetched(url, folder, recipe.path, quiet) if url else Path(given)
        found[role], checked = _folder(file, source, work) if role == "path" else (file, [file])
        facts += [inspect(one, url, quiet) for one in checked]
    return Inputs(recipe, found, skip_bad_lines, quiet), facts


def _hint(role: str) -> str:
    return ", or a folder or archive that holds the files" if role == "path" else ""


def _fetched(url: str, folder: Path, path: str | None, quiet: bool) -> Path:
    places = [Path(path)] if path and not is_url(path) else []
    for place in (*places, folder / RAW):
        for name in (file_name(url), file_name(url).removesuffix(".gz")):
            if (place / name).is_file():
                if name == file_name(url):  # the hash is of the packed file
                    verify(place / name, url.partition("#sha256=")[2])
                return place / name
    return download(url, folder / RAW, quiet)


def _folder(path: Path, source: Source, work: Path) -> tuple[Path, list[Path]]:
    """Return a folder of raw files and the files to check: its own, or the archive it came from."""
    if path.is_dir():
        checked = sorted({file for pattern in source.patterns for file in path.glob(pattern)})
        return path, checked
    inspect(path, quiet=True)
    if not (zipfile.is_zipfile(path) or tarfile.is_tarfile(path)):
        raise UserError(f"{path} is neither a folder nor a zip or tar archive")
    return unpack(path, work / "unpacked"), [path]
