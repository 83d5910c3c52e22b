"""Make what a run needs and does not find: a dataset's atomic files, by its recipe, and its item vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from recbole_llminit.dataset.card import read_card
from recbole_llminit.dataset.items import template_of
from recbole_llminit.dataset.places import atomic_file, find_file
from recbole_llminit.embedding.table import ITEMEMB
from recbole_llminit.prepare.recipe import find_recipe
from recbole_llminit.run import validate
from recbole_llminit.run.validate import Request
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.progress import say


def ready(
    model: str, dataset: str, user_files: Sequence[str], overrides: Mapping[str, str], nproc: int = 1
) -> list[str]:
    """Check a run's input, make the data that are missing, and return the run's property files.

    Wrong values are refused before any file is made.

    Args:
        model: Any model's name.
        dataset: The dataset's name.
        user_files: The user's YAML files, in order.
        overrides: The user's ``--key=value``.
        nproc: Number of processes on this machine; several need a GPU each.

    Returns:
        The property files in order: a later one overrides earlier ones.

    Raises:
        UserError: If the input has a mistake that would stop the run, or if the data can't be made.
    """
    request = validate.read_request(model, dataset, user_files, overrides)
    validate.check_values(request, nproc)
    if make_dataset(dataset, request.data_path, quiet=not request.config["show_progress"]):
        request = validate.read_request(model, dataset, user_files, overrides)  # its data path has changed
    validate.check_dataset(request)
    _find_or_make_vectors(request)
    return request.files


def make_dataset(name: str, data_path: Path, quiet: bool = False) -> bool:
    """Prepare a dataset that has a recipe, unless its atomic files exist.

    Returns:
        Whether it was prepared.

    Raises:
        UserError: If the raw data are missing and can't be downloaded.
    """
    recipe = find_recipe(name)
    if recipe is None or find_file(name, data_path, f"{name}.inter"):
        return False
    from recbole_llminit.prepare.pipeline import prepare

    say(f"{data_path / name / name}.inter is not there yet: preparing '{name}' by its recipe", quiet)
    command = f"recbole-llminit prepare {name} --data-path {data_path}"
    prepare(name, recipe, data_path, quiet=quiet, command=command)
    return True


def _find_or_make_vectors(request: Request) -> None:
    """Check that the table of vectors exists; otherwise encode the items, if ``prepare`` made the dataset.

    Reads ``llm_embedding``, ``dataset``, ``data_path``, ``show_progress``.
    """
    config = request.config
    try:
        validate.check_vectors(request)
    except UserError as missing:
        name, quiet = str(config["llm_embedding"]), not config["show_progress"]
        try:
            made = make_vectors(str(config["dataset"]), request.data_path, name, quiet)
        except (UserError, ImportError) as error:
            raise UserError(f"{missing}; making it now failed: {error}") from None
        if not made:
            raise


def make_vectors(name: str, data_path: Path, encoder: str, quiet: bool = False) -> bool:
    """Encode the items of a prepared dataset into a table of vectors that is named after the encoder.

    Returns:
        Whether the table was made: not if ``prepare`` did not make the dataset, or it has no texts.

    Raises:
        ImportError: If sentence-transformers is not installed.
        UserError: If there is no such encoder.
    """
    items = atomic_file(data_path / name, "item")
    if encoder == ITEMEMB or read_card(items.parent) is None or not items.is_file():
        return False
    from recbole_llminit.embedding.encode import Job, encode
    from recbole_llminit.embedding.encoder import EncoderSettings, SentenceEncoder

    say(f"no vectors '{encoder}' of '{name}' yet: encoding its items", quiet)
    settings = EncoderSettings(encoder)
    file = items.with_name(f"{Path(encoder).name}.safetensors")
    command = f"recbole-llminit encode {name} --encoder {encoder} --data-path {data_path}"
    job = Job(items, file, template_of(items), settings, "float32", command)
    encode(job, lambda: SentenceEncoder(settings), quiet=quiet)
    return True
