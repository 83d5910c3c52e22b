"""Make a dataset from a recipe: read the raw data, apply the filters, write atomic files and a card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_llminit.dataset.card import CARD, Count, DataCard
from recbole_llminit.dataset.items import template_fields
from recbole_llminit.dataset.places import checked_name
from recbole_llminit.prepare import filters
from recbole_llminit.prepare.engine import Engine
from recbole_llminit.prepare.inputs import local_inputs
from recbole_llminit.prepare.items import clean_items, with_reviews
from recbole_llminit.prepare.recipe import Recipe, seconds
from recbole_llminit.prepare.sources import SOURCES, Raw, Source
from recbole_llminit.prepare.sources.base import TEXT
from recbole_llminit.prepare.writing import put, refuse_foreign_files, work_folder, write_files
from recbole_llminit.utils.errors import UserError, nearest
from recbole_llminit.utils.progress import say

if TYPE_CHECKING:
    from ibis.expr.types import Table

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

    The files are moved into the folder at the end; after an error the folder is as it was before. Rows
    are sorted by user, time and item, so that the same input gives the same bytes with both engines.

    Args:
        name: Name of the dataset.
        recipe: Names the raw data and the filters.
        data_path: Folder of datasets.
        engine: ``duckdb`` or ``spark``.
        memory: Memory that the engine may use before it spills to disk, e.g. ``2GB``.
        skip_bad_lines: Number of unreadable lines that may be left out of each file.
        quiet: Print nothing.
        command: Command line that the card records for making the dataset again.

    Returns:
        The dataset's card.

    Raises:
        ImportError: If the engine's package is not installed.
        UserError: If the input is wrong, or if no interaction is left after a filter.
    """
    folder, source = data_path / checked_name(name, "dataset"), _source(recipe)
    refuse_foreign_files(folder)
    with work_folder(folder) as place:
        inputs, files = local_inputs(recipe, source, folder, place, skip_bad_lines, quiet)
        work = _Work(recipe, Engine(engine, place, memory), quiet)
        raw = source.read(work.engine, inputs)
        template = _template(recipe, source, raw)
        sha256, coverage = write_files(name, place, *_filtered(work, raw), work.engine)
        card = DataCard(
            dataset=name,
            source=recipe.source,
            version=source.version,
            synthetic=recipe.source == "synthetic",
            files=tuple(files),
            filters={flag: getattr(recipe, flag) for flag in _FILTERS} | _not_applied(recipe, raw),
            counts=tuple(work.counts),
            coverage=coverage,
            template=template,
            review_text=recipe.review_text,
            seed=recipe.seed,
            sha256=sha256,
            engine=work.engine.version,
            command=command,
        )
        card.write(place / CARD)
        put(place, folder, [*sha256, CARD])
    if card.synthetic:
        say(f"{name} is {source.version}", quiet)
    say(f"{folder}: {', '.join([*sha256, CARD])}", quiet)
    return card


@dataclass
class _Work:
    """The state that the steps share: the recipe, the engine, and the counts after each step so far."""

    recipe: Recipe
    engine: Engine
    quiet: bool
    counts: list[Count] = field(default_factory=list)

    def done(self, step: str, table: Table) -> Table:
        """Compute the table of a step, record and print its counts, and return it.

        Raises:
            UserError: If the table has no interaction.
        """
        table = self.engine.step(table)
        users, items = table.user_id.nunique(), table.item_id.nunique()
        numbers = self.engine.row(table.agg(interactions=table.count(), users=users, items=items))
        count = Count(step, **numbers)
        if not count.interactions:
            before = f" of {self.counts[-1].interactions:,}" if self.counts else ""
            raise UserError(
                f"no interaction{before} is left after '{step}': loosen this filter, or check the input"
            )
        self.counts.append(count)
        left = f"{count.interactions:,} interactions, {count.users:,} users, {count.items:,} items"
        say(f"{step}: {left}", self.quiet)
        return table


def _source(recipe: Recipe) -> Source:
    if recipe.source not in SOURCES:
        names = ", ".join(SOURCES)
        raise UserError(
            f"--source '{recipe.source}' must be one of {names}." + nearest(recipe.source, SOURCES)
        )
    return SOURCES[recipe.source]


def _template(recipe: Recipe, source: Source, raw: Raw) -> str | None:
    """Return the recipe's template of the item texts, or one of the source's fields that the items have."""
    columns = list(raw.types)
    if not columns:
        return None
    if recipe.template:
        template_fields(recipe.template, [*columns, *(["reviews"] if recipe.review_text else [])])
        return recipe.template
    named = [field for field in source.fields if field in columns] or columns
    return ". ".join(f"{{{field}}}" for field in named)


def _not_applied(recipe: Recipe, raw: Raw) -> dict[str, None]:
    """Return ``min_rating`` as None, for the card, if the data have no ratings to apply that filter to."""
    return {} if recipe.min_rating is None or "rating" in raw.interactions.columns else {"min_rating": None}


def _filtered(work: _Work, raw: Raw) -> tuple[Table, Table | None, dict[str, str]]:
    """Apply the filters; return interactions, items with clean texts, and the type of each text column."""
    types = dict(raw.types)
    table = _read(work, raw)
    for step, keep in _steps(work.recipe, raw):
        table = work.done(step, keep(table))
    items = None if raw.items is None else clean_items(work.engine, raw.items, table, list(types))
    for step, keep in _steps_by_text(work, items, list(types)):
        table = work.done(step, keep(table))
    if work.recipe.review_text and items is not None:
        items, types["reviews"] = with_reviews(work.engine, items, table), TEXT
    return table, items, types


def _read(work: _Work, raw: Raw) -> Table:
    """Read the interactions, and print how many have no rating or timestamp that can be read.

    The user has to know of them, because such an interaction can't be compared or ordered by that column.

    Raises:
        UserError: If a required column is missing, or if a column holds no number.
    """
    recipe = work.recipe
    if recipe.review_text:
        _require(raw, ("review", "timestamp"), "--review-text")
    kept = [c for c in raw.interactions.columns if c != "review" or recipe.review_text]
    table = work.done("read", raw.interactions.select(*kept))
    for column in (c for c in ("rating", "timestamp") if c in table.columns):
        there = work.engine.row(table.agg(n=table[column].count()))["n"]
        if not there:
            unit = "; its unit is set by --time-unit" if column == "timestamp" else ""
            raise UserError(f"the interactions' {column} holds no number that can be read{unit}")
        if missing := work.counts[-1].interactions - there:
            say(f"{missing:,} interactions have no {column} that can be read", work.quiet)
    if _not_applied(recipe, raw):
        say(f"no ratings: rating >= {recipe.min_rating:g} is not applied", work.quiet)
    return table


def _require(raw: Raw, columns: tuple[str, ...], flag: str) -> None:
    for column in columns:
        if column not in raw.interactions.columns:
            raise UserError(f"{flag}: the interactions have no {column}")


_Steps = Iterator[tuple[str, Callable[["Table"], "Table"]]]


def _steps(recipe: Recipe, raw: Raw) -> _Steps:
    """Yield the filters that need no item text, in their order, each with the name of its step."""
    yield "with user and item", filters.complete
    if recipe.sample < 1:
        keep = partial(filters.sample, share=recipe.sample, seed=recipe.seed)
        yield f"sample of {recipe.sample:g} of the users", keep
    if recipe.min_rating is not None and "rating" in raw.interactions.columns:
        yield f"rating >= {recipe.min_rating:g}", partial(filters.rated, minimum=recipe.min_rating)
    if recipe.duplicates != "all":
        yield f"duplicates: {recipe.duplicates}", partial(filters.distinct, keep=recipe.duplicates)
    if recipe.since or recipe.until:
        _require(raw, ("timestamp",), "--since and --until")
        since, until = seconds(recipe.since, "since"), seconds(recipe.until, "until")
        name = f"from {recipe.since or 'the start'} to {recipe.until or 'the end'}"
        yield name, partial(filters.within, since=since, until=until)


def _steps_by_text(work: _Work, items: Table | None, columns: list[str]) -> _Steps:
    """Yield the filter that needs the item texts and the one that runs after it, each with its name."""
    recipe, engine = work.recipe, work.engine
    if recipe.min_text:
        if items is None:
            raise UserError("--min-text: there are no item texts; give --metadata")
        keep = partial(filters.described, items=items, columns=columns, minimum=recipe.min_text)
        yield f"at least {recipe.min_text} characters of text", keep
    if recipe.kcore > 1:
        core = partial(filters.k_core, k=recipe.kcore, compute=engine.step, size=engine.count)
        yield f"{recipe.kcore}-core", core
