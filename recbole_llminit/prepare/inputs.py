"""Find, download, unpack and check the raw files that a recipe names."""

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

RAW = "raw"  # subfolder of a dataset's folder for its raw files and downloads


def local_inputs(
    recipe: Recipe, source: Source, folder: Path, work: Path, skip_bad_lines: int, quiet: bool
) -> tuple[Inputs, list[RawFile]]:
    """Return the inputs of a source with all files local, and what the card records of each file.

    The file of a URL is looked for, by its name, in ``--path`` and in the subfolder ``raw`` of the
    dataset's folder. If it is in neither, it is downloaded into the latter.

    Args:
        recipe: Names the files, folders or URLs.
        source: Says which of them are required.
        folder: The dataset's folder.
        work: Folder in which archives are unpacked.
        skip_bad_lines: Number of unreadable lines that the source may leave out of each file.
        quiet: Show no progress bars.

    Raises:
        UserError: If an input is missing, damaged or can't be downloaded.
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
                if name == file_name(url):  # the URL's hash is that of the compressed file
                    verify(place / name, url.partition("#sha256=")[2])
                return place / name
    return download(url, folder / RAW, quiet)


def _folder(path: Path, source: Source, work: Path) -> tuple[Path, list[Path]]:
    """Return a folder of raw files, and the files to check: those in it, or the archive that held them."""
    if path.is_dir():
        checked = sorted({file for pattern in source.patterns for file in path.glob(pattern)})
        return path, checked
    inspect(path, quiet=True)
    if not (zipfile.is_zipfile(path) or tarfile.is_tarfile(path)):
        raise UserError(f"{path} is neither a folder nor a zip or tar archive")
    return unpack(path, work / "unpacked"), [path]
