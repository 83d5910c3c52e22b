"""Encode item texts into a vector table; an interrupted run continues where it stopped."""

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
        file: File of the table to make.
        template: Template of the item texts, over the columns of `item_file`.
        settings: Settings of the encoder.
        dtype: Type of the table's vectors: ``float32``, or ``float16`` for half the size.
        command: Command line that the card records for making the table again.
    """

    item_file: Path
    file: Path
    template: str
    settings: EncoderSettings
    dtype: str
    command: str

    def texts(self) -> dict[str, str]:
        """Return the text of every item that has one, by item token.

        The other items get no vector; a run handles them as its key ``llm_missing`` says.

        Raises:
            UserError: If the file or the template can't be used, or if no item has a text.
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
        """Return the table if it exists and was made from these texts by this encoder, else None."""
        if not self.file.is_file():
            return None
        try:
            table = load(self.file)
        except UserError:
            return None  # a damaged table is made again and replaced
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
        """Return the texts cut into shards, which are stored in a folder beside the table."""
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
    """Encode the texts that have no vectors yet, and make the table.

    Identical texts are encoded once. Finished shards stay on disk until the table is written, so that a
    run that was stopped at any moment continues where it stopped.

    Args:
        job: The table to make.
        make_encoder: Returns the encoder.
        part: (i, n), i from 1: encode only part i of n; another run merges the parts.
        merge_only: Merge the shards without encoding any.
        announce: Called with the shards of texts that will be encoded, before the first is encoded.
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
    """Refuse to replace a table that was imported by ``--from``, because it may be the only copy."""
    try:
        card = card_of(file) if file.is_file() else None
    except UserError:
        card = None  # a damaged table is made again
    if card and any(word.startswith("--from") for word in card.command.split()):
        raise UserError(f"{file} was brought in with --from; choose another --name, or move it away")


def with_texts(card: Card, template: str | None, item_file: Path, ids: tuple[str, ...]) -> Card:
    """Return a card with the template, the hash of the texts of `ids` and each field's coverage added.

    Without a template the card is returned unchanged.
    """
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
