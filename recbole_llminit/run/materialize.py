"""What a run needs and a recipe describes, made before the run: atomic files, and item vectors."""

from __future__ import annotations

from pathlib import Path

from recbole_llminit.dataset.card import read_card
from recbole_llminit.dataset.items import columns_hint
from recbole_llminit.dataset.places import ATOMIC_DATA
from recbole_llminit.embedding.table import ITEMEMB
from recbole_llminit.prepare.recipe import find_recipe
from recbole_llminit.utils.errors import UserError


def make_dataset(name: str, data_path: Path, quiet: bool = False) -> None:
    """Prepare a dataset that has a recipe, unless its atomic files are there.

    Raises:
        UserError: If the raw data are missing and can't be fetched.
    """
    recipe = find_recipe(name)
    files = [folder / name / f"{name}.inter" for folder in (data_path, ATOMIC_DATA)]
    if recipe is None or any(file.is_file() for file in files):
        return
    from recbole_llminit.prepare.pipeline import prepare

    say(f"{files[0]} is not there yet: preparing '{name}' by its recipe", quiet)
    command = f"recbole-llminit prepare {name} --data-path {data_path}"
    prepare(name, recipe, data_path, quiet=quiet, command=command)


def make_vectors(name: str, data_path: Path, encoder: str, quiet: bool = False) -> bool:
    """Encode the items of a prepared dataset as the table that carries the encoder's name.

    Returns:
        False if the dataset was not made by ``prepare``, or has no texts.

    Raises:
        ImportError: If sentence-transformers is not installed.
        UserError: If there is no such encoder.
    """
    items = data_path / name / f"{name}.item"
    if encoder == ITEMEMB or read_card(items.parent) is None or not items.is_file():
        return False
    from recbole_llminit.embedding.encode import Job, encode
    from recbole_llminit.embedding.encoder import EncoderSettings, SentenceEncoder

    say(f"no vectors '{encoder}' of '{name}' yet: encoding its items", quiet)
    settings = EncoderSettings(encoder)
    file = items.with_name(f"{Path(encoder).name}.safetensors")
    command = f"recbole-llminit encode {name} --encoder {encoder} --data-path {data_path}"
    template = template_of(data_path, name, items)
    job = Job(items, file, template, settings, "float32", command)
    encode(job, lambda: SentenceEncoder(settings), quiet=quiet)
    return True


def template_of(data_path: Path, name: str, items: Path) -> str:
    """Return the text template that a dataset's card names.

    Raises:
        UserError: If it has no card, or the card names none.
    """
    card = read_card(data_path / name)
    if card is None or not card.get("template"):
        raise UserError(f"--template is missing: {columns_hint(items)}")
    return str(card["template"])


def say(line: str, quiet: bool) -> None:
    """Print a line unless it is to be quiet."""
    if not quiet:
        print(line, flush=True)
