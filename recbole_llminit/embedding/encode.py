"""Make a vector table: from item texts by an encoder, or from a matrix brought in."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recbole_llminit.embedding.table import Card, VectorTable
from recbole_llminit.embedding.text import (
    coverage,
    read_items,
    template_fields,
    texts_hash,
    texts_in_order,
)
from recbole_llminit.errors import UserError


def from_matrix(
    vectors_file: Path, ids_file: Path, *, encoder: str, template: str | None, item_file: Path, command: str
) -> VectorTable:
    """Bring in a matrix (n_items, d_llm) from ``.npy``, its row i belonging to line i of `ids_file`.

    With a template the card carries the hash of the texts, so that they are verified at every start;
    without one the texts are not verified.

    Raises:
        UserError: If a file is missing or unreadable, or rows and ids don't fit.
    """
    for file in (vectors_file, ids_file):
        if not file.is_file():
            raise UserError(f"{file} does not exist")
    try:
        vectors = np.load(vectors_file, allow_pickle=False)
        ids = tuple(ids_file.read_text(encoding="utf-8").rstrip("\n").split("\n"))
    except (ValueError, EOFError) as error:
        raise UserError(f"expected a .npy matrix and its ids as UTF-8 lines: {error}") from None
    if not isinstance(vectors, np.ndarray):
        raise UserError(f"{vectors_file} holds several arrays; expected one matrix in .npy")
    if not np.issubdtype(vectors.dtype, np.floating):
        raise UserError(f"{vectors_file} holds {vectors.dtype.name}; expected floating point")
    card = Card(encoder=encoder, command=command)
    return VectorTable.build(ids, vectors, _with_texts(card, template, item_file, ids))


def from_texts(
    item_file: Path, *, encoder: str, template: str, batch_size: int, quiet: bool, command: str
) -> VectorTable:
    """Encode every item that has a text with sentence-transformers.

    Args:
        item_file: RecBole's ``.item`` file.
        encoder: A model's name, or the folder that holds one.
        template: The text of an item, over the file's columns.
        batch_size: Texts per step.
        quiet: Show no progress bar.
        command: What the card records as the way to make the table again.

    Returns:
        A table of float16: unit vectors need no more. Items without any text are left out, so that
        ``llm_missing`` decides about them.

    Raises:
        ImportError: If sentence-transformers is not installed.
        UserError: If the file, the template or the encoder is not usable.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        if error.name != "sentence_transformers":
            raise
        raise ImportError(
            "encoding needs sentence-transformers: pip install 'recbole-llminit[encode]'",
            name="sentence_transformers",
        ) from error
    items = read_items(item_file)
    texts = dict(zip(items.index, texts_in_order(items, template, list(items.index)), strict=True))
    ids = tuple(token for token, text in texts.items() if text)
    if not ids:
        raise UserError(f"no item of {item_file} has a text under the template '{template}'")
    try:
        model = SentenceTransformer(encoder)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"encoder '{encoder}': {reason}; give a folder that holds the model") from None
    vectors: npt.NDArray[np.float32] = model.encode(
        [texts[token] for token in ids], batch_size=batch_size, show_progress_bar=not quiet
    )
    card = Card(encoder=Path(encoder).name, pooling=_pooling(model), command=command)
    return VectorTable.build(ids, vectors.astype(np.float16), _with_texts(card, template, item_file, ids))


def item_file(data_path: Path, dataset: str) -> Path:
    """Return a dataset's ``.item`` file: under the data path, or RecBole's own copy of ml-100k."""
    file = data_path / dataset / f"{dataset}.item"
    host = importlib.util.find_spec("recbole")
    if not file.is_file() and host is not None and host.origin is not None:
        bundled = Path(host.origin).parent / "dataset_example" / dataset / f"{dataset}.item"
        return bundled if bundled.is_file() else file
    return file


def columns_hint(file: Path) -> str:
    """Return a template over all columns of an ``.item`` file, as a suggestion."""
    columns = read_items(file).columns
    return f'{file} has the columns {", ".join(columns)}, e.g. "{". ".join(f"{{{c}}}" for c in columns)}"'


def _with_texts(card: Card, template: str | None, item_file: Path, ids: tuple[str, ...]) -> Card:
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


def _pooling(model: Iterable[object]) -> str | None:
    """Return how a sentence-transformers model pools tokens, as its own configuration says."""
    for module in model:
        if type(module).__name__ == "Pooling":
            config: dict[str, object] = module.get_config_dict()  # type: ignore[attr-defined]
            modes = [key.removeprefix("pooling_mode_") for key, on in config.items() if on is True]
            return str(config.get("pooling_mode") or "+".join(modes))
    return None
