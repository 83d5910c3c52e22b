"""Read MovieLens as 100k (u.data), 1M and 10M (ratings.dat), or 20M, 25M and 32M (ratings.csv) have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_llminit.prepare.engine import Engine
from recbole_llminit.prepare.files import open_text, records
from recbole_llminit.prepare.sources.base import TEXT, Inputs, Raw, number, write_lines, write_table
from recbole_llminit.utils.errors import UserError

if TYPE_CHECKING:
    from ibis.expr.types import Table

_HEADER = ("userId", "movieId", "rating", "timestamp")
_NO_GENRES = "(no genres listed)"
_LAYOUTS = {  # file of ratings: its separator and the file of films
    "u.data": ("\t", "u.item"),
    "ratings.dat": ("::", "movies.dat"),
    "ratings.csv": (",", "movies.csv"),
}


def read(engine: Engine, inputs: Inputs) -> Raw:
    """Read the ratings and films in a folder, in whichever layout they have.

    Raises:
        UserError: If the folder has none of the layouts, or if a line is unreadable.
    """
    folder = inputs.files["path"]
    name = next((name for name in _LAYOUTS if (folder / name).is_file()), None)
    if name is None:
        raise UserError(f"{folder} holds no MovieLens ratings: expected {' or '.join(_LAYOUTS)}")
    separator, films = _LAYOUTS[name]
    if not (folder / films).is_file():
        raise UserError(f"{folder} holds {name} but not {films}, its films")
    ratings = _ratings(engine, folder / name, separator)
    interactions = ratings.select(
        user_id=ratings.userId,
        item_id=ratings.movieId,
        rating=number(ratings.rating),
        timestamp=number(ratings.timestamp),
    )
    items = _films(engine, folder / films, inputs.skip_bad_lines)
    return Raw(interactions, items, {"title": TEXT, "genres": TEXT})


def _ratings(engine: Engine, file: Path, separator: str) -> Table:
    if separator == ",":
        return _csv(engine, file, _HEADER)
    with open_text(file, "latin-1") as lines:
        copied = (line.rstrip("\r\n").replace(separator, "\t") + "\n" for line in lines)
        return engine.csv(write_table(engine, file.name, _HEADER, copied), "\t", quoted=False)


def _csv(engine: Engine, file: Path, columns: tuple[str, ...]) -> Table:
    table = engine.csv(file)
    if missing := [column for column in columns if column not in table.columns]:
        raise UserError(f"{file} has no column '{missing[0]}' (it has {', '.join(table.columns)})")
    return table


def _films(engine: Engine, file: Path, skip: int) -> Table:
    if file.suffix == ".csv":
        films = _csv(engine, file, ("movieId", "title", "genres"))
        genres = films.genres.replace("|", ", ").nullif(_NO_GENRES)
        return films.select(item_id=films.movieId, title=films.title, genres=genres)
    rows = _lines_of_1m(file, skip) if file.name == "movies.dat" else _lines_of_100k(file, skip)
    return engine.json(write_lines(engine, file.name, rows), ("item_id", "title", "genres"))


def _lines_of_1m(file: Path, skip: int) -> Iterator[dict[str, Any]]:
    try:
        file.read_text(encoding="utf-8")  # as in the 10M release
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "latin-1"  # as in the 1M release
    return records(file, _film_of_1m, skip, encoding)


def _lines_of_100k(file: Path, skip: int) -> Iterator[dict[str, Any]]:
    genres = (file.parent / "u.genre").read_text(encoding="latin-1").split("\n")
    names = [line.split("|")[0] for line in genres if line.strip()]
    return records(file, lambda line: _film_of_100k(line, names), skip, "latin-1")


def _film_of_1m(line: str) -> dict[str, Any]:
    item, title, genres = line.rstrip("\n").split("::")
    return _film(item, title, genres.split("|"))


def _film_of_100k(line: str, names: list[str]) -> dict[str, Any]:
    item, title, _, _, _, *flags = line.rstrip("\n").split("|")
    return _film(item, title, [name for name, flag in zip(names, flags, strict=True) if flag == "1"])


def _film(item: str, title: str, genres: list[str]) -> dict[str, Any]:
    return {
        "item_id": item,
        "title": title,
        "genres": [genre for genre in genres if genre not in (_NO_GENRES, "unknown")],
    }
