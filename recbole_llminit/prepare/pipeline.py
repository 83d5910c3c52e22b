"""From a recipe to atomic files with a card: read, filter step by step, write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from recbole_llminit.dataset.card import CARD, Count, DataCard, read_card
from recbole_llminit.dataset.items import template_fields
from recbole_llminit.prepare import atomic, filters
from recbole_llminit.prepare.engine import Engine
from recbole_llminit.prepare.inputs import local_inputs
from recbole_llminit.prepare.items import clean_items, with_reviews
from recbole_llminit.prepare.recipe import Recipe, seconds
from recbole_llminit.prepare.sources import SOURCES, Raw, Source
from recbole_llminit.prepare.sources.base import TEXT
from recbole_llminit.utils.errors import UserError, nearest

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import Table

_NUMBERS = {"rating": "float", "timestamp": "float"}
_FILTERS = ("sample", "min_rating", "duplicates", "since", "until", "min_text", "kcore")


def prepare(
    name: str,
    recipe: Recipe,
    data_path: Path,
    *,
    engine: str = "duckdb",
    memory: str = "2GB",
    skip_bad_lines: int = 0,
    quiet: bool = False,
    command: str,
) -> DataCard:
    """Make ``<name>.inter``, ``<name>.item`` and ``card.json`` in ``<data_path>/<name>/``.

    The files appear together at the end; whatever happens before, the folder stays as it was. Their
    rows are in order (users, then time, then items), so the same input gives the same bytes, whichever
    engine computed them.

    Args:
        name: The dataset's.
        recipe: What to read and what to keep.
        data_path: Folder of datasets.
        engine: ``duckdb`` or ``spark``.
        memory: What the engine may use before it spills to disk.
        skip_bad_lines: How many unreadable lines may be left out of each file.
        quiet: Print nothing.
        command: What the card records as the way to make the dataset again.

    Raises:
        ImportError: If the engine is not installed.
        UserError: If the input is wrong, or nothing is left of it.
    """
    if name in ("", ".", "..") or Path(name).name != name:
        raise UserError(f"'{name}' can't be the name of a dataset: it is the name of a folder")
    folder = data_path / name
    _refuse_foreign_files(folder, name)
    source = _source(recipe)
    with _work_folder(data_path, name) as place:
        inputs, files = local_inputs(name, recipe, source, folder, place, skip_bad_lines, quiet)
        work = _Work(recipe, Engine(engine, place, memory), quiet)
        raw = source.read(work.engine, inputs)
        template = _template(recipe, source, raw)
        made = _write(name, place, *_filtered(work, raw), work.engine)
        card = DataCard(
            dataset=name,
            source=recipe.source,
            version=source.version,
            synthetic=recipe.source == "synthetic",
            files=tuple(files),
            filters={flag: getattr(recipe, flag) for flag in _FILTERS} | _not_applied(recipe, raw),
            counts=tuple(work.counts),
            coverage=made.coverage,
            template=template,
            review_text=recipe.review_text,
            seed=recipe.seed,
            sha256=made.sha256,
            engine=work.engine.version,
            command=command,
        )
        card.write(place / CARD)
        _put(place, folder, [*made.sha256, CARD])
    if card.synthetic:
        work.say(f"{name} is {source.version}")
    work.say(f"{folder}: {', '.join([*made.sha256, CARD])}")
    return card


@dataclass
class _Work:
    """What the steps share: the recipe, the engine, and how much was there after each step."""

    recipe: Recipe
    engine: Engine
    quiet: bool
    counts: list[Count] = field(default_factory=list)

    def say(self, line: str) -> None:
        if not self.quiet:
            print(line, flush=True)

    def done(self, step: str, table: Table) -> Table:
        """Compute a step's table, count it, and tell; refuse to go on with nothing."""
        table = self.engine.step(table)
        count = Count(
            step,
            **self.engine.row(
                table.agg(
                    interactions=table.count(), users=table.user_id.nunique(), items=table.item_id.nunique()
                )
            ),
        )
        if not count.interactions:
            before = f" of {self.counts[-1].interactions:,}" if self.counts else ""
            raise UserError(
                f"no interaction{before} is left after '{step}': loosen this filter, or check the input"
            )
        self.counts.append(count)
        self.say(f"{step}: {count.interactions:,} interactions, {count.users:,} users, {count.items:,} items")
        return table


@dataclass(frozen=True)
class _Made:
    """The files that were written, and the share of items that have each text."""

    sha256: dict[str, str]
    coverage: dict[str, float]


def _source(recipe: Recipe) -> Source:
    if recipe.source not in SOURCES:
        raise UserError(
            f"--source '{recipe.source}' must be one of {', '.join(SOURCES)}."
            + nearest(recipe.source, SOURCES)
        )
    return SOURCES[recipe.source]


def _filtered(work: _Work, raw: Raw) -> tuple[Table, Table | None, dict[str, str]]:
    """Run the filters; return interactions, items with clean texts, and the texts' types."""
    recipe, engine, types = work.recipe, work.engine, dict(raw.types)
    if recipe.review_text:
        _require(raw, ("review", "timestamp"), "--review-text")
    kept = [c for c in raw.interactions.columns if c != "review" or recipe.review_text]
    table = work.done("read", raw.interactions.select(*kept))
    _check_numbers(work, table)
    if "min_rating" in _not_applied(recipe, raw):
        work.say(f"no ratings: rating >= {recipe.min_rating:g} is not applied")
    for step, keep in _steps(recipe, raw):
        table = work.done(step, keep(table))
    items = None if raw.items is None else clean_items(engine, raw.items, table, list(types))
    if recipe.min_text:
        if items is None:
            raise UserError("--min-text: there are no item texts; give --metadata")
        described = filters.described(table, items, list(types), recipe.min_text)
        table = work.done(f"at least {recipe.min_text} characters of text", described)
    if recipe.kcore > 1:
        table = work.done(
            f"{recipe.kcore}-core", filters.k_core(table, recipe.kcore, engine.step, engine.count)
        )
    if recipe.review_text and items is not None:
        items, types["reviews"] = with_reviews(engine, items, table), TEXT
    return table, items, types


def _not_applied(recipe: Recipe, raw: Raw) -> dict[str, None]:
    """Return the filters that the data have no column for: a shop's clicks have no rating."""
    return {} if recipe.min_rating is None or "rating" in raw.interactions.columns else {"min_rating": None}


def _check_numbers(work: _Work, table: Table) -> None:
    """Refuse a column without any number, and tell of missing ones: what is null is in no order."""
    for column in (c for c in _NUMBERS if c in table.columns):
        there = work.engine.row(table.agg(n=table[column].count()))["n"]
        if not there:
            unit = "; its unit is set by --time-unit" if column == "timestamp" else ""
            raise UserError(f"the interactions' {column} holds no number that can be read{unit}")
        if missing := work.counts[-1].interactions - there:
            work.say(f"{missing:,} interactions have no {column} that can be read")


def _steps(recipe: Recipe, raw: Raw) -> Iterator[tuple[str, Callable[[Table], Table]]]:
    """Yield the filters of interactions in their order, each with what it is called."""
    yield "with user and item", filters.complete
    if recipe.sample < 1:
        yield (
            f"sample of {recipe.sample:g} of the users",
            partial(filters.sample, share=recipe.sample, seed=recipe.seed),
        )
    if recipe.min_rating is not None and "rating" in raw.interactions.columns:
        yield f"rating >= {recipe.min_rating:g}", partial(filters.rated, minimum=recipe.min_rating)
    if recipe.duplicates != "all":
        yield f"duplicates: {recipe.duplicates}", partial(filters.distinct, keep=recipe.duplicates)
    if recipe.since or recipe.until:
        _require(raw, ("timestamp",), "--since and --until")
        limits = {"since": seconds(recipe.since, "since"), "until": seconds(recipe.until, "until")}
        yield (
            f"from {recipe.since or 'the start'} to {recipe.until or 'the end'}",
            partial(filters.within, **limits),
        )


def _require(raw: Raw, columns: tuple[str, ...], flag: str) -> None:
    for column in columns:
        if column not in raw.interactions.columns:
            raise UserError(f"{flag}: the interactions have no {column}")


def _template(recipe: Recipe, source: Source, raw: Raw) -> str | None:
    """Return the text template of the items: the recipe's, or the source's fields that there are."""
    columns = list(raw.types)
    if not columns:
        return None
    if recipe.template:
        template_fields(recipe.template, [*columns, *(["reviews"] if recipe.review_text else [])])
        return recipe.template
    named = [field for field in source.fields if field in columns] or columns
    return ". ".join(f"{{{field}}}" for field in named)


def _write(
    name: str, place: Path, table: Table, items: Table | None, types: dict[str, str], engine: Engine
) -> _Made:
    """Write the atomic files into `place`, rows in order."""
    numbers = {column: kind for column, kind in _NUMBERS.items() if column in table.columns}
    columns = {"user_id": "token", "item_id": "token", **numbers}
    order = [c for c in ("user_id", "timestamp", "item_id", "rating") if c in columns]
    rows = engine.batches(table.select(*columns).order_by(order))
    made = _Made({f"{name}.inter": atomic.write(place / f"{name}.inter", columns, rows)}, {})
    if items is not None:
        ids = table.select("item_id").distinct()
        texts = ids.left_join(items, "item_id").select(ids.item_id, *[items[column] for column in types])
        rows = _counted(engine.batches(texts.order_by("item_id")), list(types), made.coverage)
        header = {"item_id": "token", **types}
        made.sha256[f"{name}.item"] = atomic.write(place / f"{name}.item", header, rows)
        if made.coverage and not any(made.coverage.values()):
            item = engine.row(ids)["item_id"]
            raise UserError(
                f"no item has a text: items of the interactions, such as '{item}', are not among those that "
                "are described; check that both files have the same ids"
            )
    return made


def _counted(
    batches: Iterator[pa.RecordBatch], columns: list[str], coverage: dict[str, float]
) -> Iterator[pa.RecordBatch]:
    """Pass batches on and fill in the share of rows in which each column is not empty."""
    rows, filled = 0, dict.fromkeys(columns, 0)
    for batch in batches:
        rows += batch.num_rows
        for column in columns:
            filled[column] += sum(map(bool, batch[column].to_pylist()))
        yield batch
    coverage.update({column: round(filled[column] / rows, 4) for column in columns})


def _refuse_foreign_files(folder: Path, name: str) -> None:
    """Refuse to replace a dataset that was not prepared here: it may be the only copy."""
    there = [file for file in (folder / f"{name}.inter", folder / f"{name}.item") if file.exists()]
    if there and read_card(folder) is None:
        raise UserError(
            f"{there[0]} exists and was not made by prepare: choose another name, or move it away"
        )


@contextmanager
def _work_folder(data_path: Path, name: str) -> Iterator[Path]:
    """Give an empty folder beside the dataset's and remove it; remove those of processes that died."""
    data_path.mkdir(parents=True, exist_ok=True)
    prefix = f".{name}.prepare-"
    for left in data_path.glob(f"{prefix}*"):
        process = left.name.removeprefix(prefix)
        if process.isdecimal() and (int(process) == os.getpid() or not psutil.pid_exists(int(process))):
            shutil.rmtree(left, ignore_errors=True)
    place = (data_path / f"{prefix}{os.getpid()}").absolute()
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _put(place: Path, folder: Path, files: list[str]) -> None:
    """Move the files into the dataset's folder, its card last: a card vouches for what lies beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    outdated = set((read_card(folder) or {"sha256": ()})["sha256"]) - set(files)
    (folder / CARD).unlink(missing_ok=True)
    for file in outdated:
        (folder / file).unlink(missing_ok=True)
    for file in files:
        (place / file).replace(folder / file)
