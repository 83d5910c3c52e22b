"""Find property files and the files of datasets.

A dataset's files are looked for in the user's data path and then among the datasets that ship with the
package. Property files and shipped datasets are beside the package in a checkout, and inside it in a wheel.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from recbole_llminit.utils.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]


def _shipped(folder: str) -> Path:
    inside = _PACKAGE / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


PROPS = _shipped("props")
SHIPPED = _shipped("atomic_data")


def checked_name(name: str, what: str) -> str:
    """Return a name that a file or folder gets, if it can't lead out of the folder that it lies in.

    Args:
        name: The name, such as that of a dataset.
        what: What it names, for the error message.

    Raises:
        UserError: If the name is empty or ``..``, or holds a path separator, NUL or a line break.
    """
    if name in ("", "..") or Path(name).name != name or "\\" in name or not name.isprintable():
        raise UserError(f"{what} {name!r} must be the plain name of a file or folder, not a path")
    return name


def folders(name: str, data_path: Path) -> tuple[Path, ...]:
    """Return the folders where a dataset's files are looked for: the user's, then the shipped one."""
    return tuple(dict.fromkeys((data_path / name, SHIPPED / name)))


def find_file(name: str, data_path: Path, file: str) -> Path | None:
    """Return the path of a dataset's file, in the user's folder if possible; None if no folder has it."""
    found = (folder / file for folder in folders(name, data_path))
    return next((path for path in found if path.is_file()), None)


def atomic_file(folder: Path, suffix: str) -> Path:
    """Return the path of an atomic file, which RecBole names after the dataset's folder.

    Args:
        folder: The dataset's folder, which is ``data_path`` in RecBole's config.
        suffix: ``inter`` or ``item``.
    """
    return folder / f"{folder.name}.{suffix}"


def item_file(name: str, data_path: Path) -> Path:
    """Return the path of a dataset's ``.item`` file: the user's, the shipped one, or RecBole's of ml-100k.

    If none exists, return the path that the file would have in the user's data path.
    """
    own = atomic_file(data_path / name, "item")
    host = importlib.util.find_spec("recbole")
    bundled = Path(host.origin).parent / "dataset_example" / name / own.name if host and host.origin else own
    return find_file(name, data_path, own.name) or (bundled if bundled.is_file() else own)


def tables(name: str, data_path: Path) -> list[str]:
    """Return the names of a dataset's vector tables, in alphabetical order."""
    return sorted({file.stem for folder in folders(name, data_path) for file in folder.glob("*.safetensors")})


def prepared_names(data_path: Path) -> list[str]:
    """Return the names of all available datasets: the user's, the shipped ones and RecBole's ml-100k."""
    found = (file for root in (data_path, SHIPPED) for file in root.glob("*/*.inter"))
    return sorted({"ml-100k", *(file.stem for file in found if file.stem == file.parent.name)})
