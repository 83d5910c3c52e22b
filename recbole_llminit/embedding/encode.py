"""Item texts to a vector table, by any encoder; what is done stays done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from logging import getLogger
from pathlib import Path

from recbole_llminit.dataset.items import coverage, read_items, template_fields, texts_hash, texts_in_order
from recbole_llminit.embedding.encoder import Encoder, EncoderSettings
from recbole_llminit.embedding.shards import Shards
from recbole_llminit.embedding.table import Card, VectorTable, card_of, load, save
from recbole_llminit.utils.errors import UserError


@dataclass(frozen=True)
class Job:
    """The encoding of a dataset's item texts into one table.

    Attributes:
        item_file: RecBole's ``.item`` file.
        file: The table to make.
        template: The text of an item, over the file's columns.
        settings: The encoder's.
        dtype: ``float32``, or ``float16`` for half the size.
        command: What the card records as the way to make the table again.
    """

    item_file: Path
    file: Path
    template: str
    settings: EncoderSettings
    dtype: str
    command: str

    def texts(self) -> dict[str, str]:
        """Return the text of every item that has one; ``llm_missing`` decides about the others.

        Raises:
            UserError: If the file or the template is not usable, or there is no text at all.
        """
        items = read_items(self.item_file)
        texts = dict(zip(items.index, texts_in_order(items, self.template, list(items.index)), strict=True))
        if not any(texts.values()):
            raise UserError(f"no item of {self.item_file} has a text under the template '{self.template}'")
        if lost := [token for token, text in texts.items() if not text]:
            getLogger().warning(
                f"{len(lost)} of {len(texts)} items of {self.item_file} have no text under the template "
                f"(e.g. '{lost[0]}') and get no vector; a run that ranks them needs llm_missing: mean or zero"
            )
        return {token: text for token, text in texts.items() if text}

    def done(self, texts: dict[str, str]) -> VectorTable | None:
        """Return the table if it is there already, made of these texts by this encoder."""
        if not self.file.is_file():
            return None
        try:
            table = load(self.file)
        except UserError:
            return None  # made again, and replaced as a whole
        card, wanted = table.card, self.settings
        same = card is not None and (
            (card.encoder, card.prompt, card.precision, card.base_url, card.dtype)
            == (wanted.name, wanted.prompt, wanted.card_precision, wanted.base_url, self.dtype)
            and wanted.revision in (None, card.revision)
            and wanted.weights in (None, card.revision)
            and wanted.max_length == (None if card.own_limit else card.max_length)
            and card.texts_sha256 == texts_hash(texts.values())
            and table.ids == tuple(texts)
        )
        return table if same else None

    def shards(self, texts: dict[str, str], facts: dict[str, object]) -> Shards:
        """Return the work, in a folder beside the table."""
        return Shards.plan(list(texts.values()), facts, self.file.parent, self.file.stem)


def encode(
    job: Job,
    make_encoder: Callable[[], Encoder],
    *,
    part: tuple[int, int] | None = None,
    merge_only: bool = False,
    announce: Callable[[Sequence[Sequence[str]]], None] = lambda shards: None,
    quiet: bool = False,
) -> VectorTable | None:
    """Encode what is missing and put the table together.

    Identical texts are encoded once. Shards that are done stay on disk until the table is written, so
    that a run that was stopped at any moment goes on where it was.

    Args:
        job: What to make.
        make_encoder: Loads the encoder.
        part: (i, n): encode part i of n, from 1, and stop; another run merges.
        merge_only: Encode nothing.
        announce: Called with the texts that will be encoded, before the first is.
        quiet: Show no progress bar.

    Returns:
        The table, memory-mapped; None after one part of several.

    Raises:
        UserError: If the input is wrong, the encoder fails, or a shard to merge is missing.
    """
    texts = job.texts()
    if table := job.done(texts):
        return table
    _refuse_foreign(job.file)
    described = Card(encoder="", command=job.command, own_limit=job.settings.max_length is None)
    described = with_texts(described, job.template, job.item_file, tuple(texts))
    encoder = make_encoder()
    try:
        card = replace(described, **encoder.facts)
        shards = job.shards(texts, encoder.facts)
        if not merge_only:
            announce([shards.shard(number) for number in shards.missing(part or (1, 1))])
            shards.encode(encoder, part or (1, 1), quiet)
    finally:
        encoder.close()
    if part and not merge_only:
        return None
    table = VectorTable.build(tuple(texts), shards.merge(list(texts.values()), job.dtype), card)
    save(table, job.file)
    shards.remove()
    return load(job.file)


def _refuse_foreign(file: Path) -> None:
    """Refuse to replace a matrix that was brought in: it may be the only copy."""
    try:
        card = card_of(file) if file.is_file() else None
    except UserError:
        card = None  # damaged, and made again
    if card and any(word.startswith("--from") for word in card.command.split()):
        raise UserError(f"{file} was brought in with --from; choose another --name, or move it away")


def with_texts(card: Card, template: str | None, item_file: Path, ids: tuple[str, ...]) -> Card:
    """Add the template, the hash of the texts and the fields' coverage to a card."""
    if template is None:
        return card
    items = read_items(item_file)
    fields = template_fields(template, items.columns)
    return replace(
        card,
        template=template,
        texts_sha256=texts_hash(texts_in_order(items, template, ids)),
        coverage=coverage(items, fields),
    )
