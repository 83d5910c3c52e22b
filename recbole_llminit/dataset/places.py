"""Where property files and datasets lie: a dataset in the user's data path, else among those that ship.

Property files and shipped datasets lie beside the package in a checkout, inside it in a wheel.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _shipped(folder: str) -> Path:
    inside = _PACKAGE / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


PROPS = _shipped("props")
SHIPPED = _shipped("atomic_data")


def folders(name: str, data_path: Path) -> tuple[Path, ...]:
    """Return the folders that a dataset's files are looked for in: the user's, then the one that ships."""
    return tuple(dict.fromkeys((data_path / name, SHIPPED / name)))


def find_file(name: str, data_path: Path, file: str) -> Path | None:
    """Return a file of a dataset by its own name, the user's first; None if neither folder holds it."""
    found = (folder / file for folder in folders(name, data_path))
    return next((path for path in found if path.is_file()), None)


def atomic_file(folder: Path, suffix: str) -> Path:
    """Return where a dataset's folder holds an atomic file; RecBole names it after the folder.

    Args:
        folder: The dataset's, as RecBole's config has it in ``data_path``.
        suffix: ``inter`` or ``item``.
    """
    return folder / f"{folder.name}.{suffix}"


def item_file(name: str, data_path: Path) -> Path:
    """Return a dataset's item texts, RecBole's own of ml-100k too; if there are none, the user's place."""
    own = atomic_file(data_path / name, "item")
    host = importlib.util.find_spec("recbole")
    bundled = Path(host.origin).parent / "dataset_example" / name / own.name if host and host.origin else own
    return find_file(name, data_path, own.name) or (bundled if bundled.is_file() else own)


def tables(name: str, data_path: Path) -> list[str]:
    """Return the names of a dataset's tables of vectors, in alphabetical order."""
    return sorted({file.stem for folder in folders(name, data_path) for file in folder.glob("*.safetensors")})


def prepared_names(data_path: Path) -> list[str]:
    """Return the names of the datasets that are there, those that ship and RecBole's ml-100k too."""
    found = (file for root in (data_path, SHIPPED) for file in root.glob("*/*.inter"))
    return sorted({"ml-100k", *(file.stem for file in found if file.stem == file.parent.name)})
