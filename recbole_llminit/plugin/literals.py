"""Read text as data wherever RecBole 1.2.1 evaluates it: one function per place.

A Python literal becomes its value, and any other text stays text. Each function's docstring names the place
and what goes wrong there. The three functions are superfluous in a RecBole that calls ``eval`` nowhere.
RecBole's functions look ``eval`` up in their own module before they take Python's, so that a function of that
name in the module replaces it there and nowhere else.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wrapt

from recbole_llminit.utils.errors import UserError, nearest

_BOUNDS = {"uniform": 2, "quniform": 3, "loguniform": 2}  # kind of range -> how many numbers it takes
_EXPECTED = (
    "NAME choice [VALUE,...], NAME uniform LOW,HIGH, NAME quniform LOW,HIGH,STEP or "
    "NAME loguniform LOW,HIGH; a value is a number, True, False, None, a quoted text or a list of these"
)
_TEACHERS = ("CrossNet", "CIN", "DAGFM")


def literal(text: str) -> Any:
    """Return the value of a Python literal, such as ``1e-3`` or ``{'mode': 'uni5'}``.

    Raises:
        SyntaxError: If the text is anything else, such as a name, a call or a sum.
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise SyntaxError(f"'{text[:80]}' is no Python literal") from None


def config_values(configurator: Any) -> None:
    """Read the values of ``--key=value`` and of config dictionaries as literals.

    ``Config._convert_config_dict`` evaluates them: a value could run any code, and one that is the name of
    a local variable, such as ``--llm_embedding=key``, became that variable's value. After the SyntaxError of
    `literal`, RecBole keeps the text, or takes ``true`` and ``false`` for truth values.
    """
    configurator.eval = literal


def search_space(hyper_tuning: Any) -> None:
    """Read the lines of a params file as literals.

    ``HyperTuning._build_space_from_file`` evaluates the values of ``choice``, stops with a traceback at
    a wrong line, and skips one of fewer than three words without a message.
    """
    search = hyper_tuning.HyperTuning
    read = functools.partial(_read_space, build=search._build_space_from_dict)
    search._build_space_from_file = staticmethod(read)


def _read_space(file: str, build: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Return the search space of a params file; blank lines and lines that begin with ``#`` are skipped.

    Args:
        file: Path of the file.
        build: RecBole's function that makes hyperopt's ranges of ``{kind: {name: values}}``.

    Raises:
        UserError: If the file is not UTF-8, or a line describes no range.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8: {error}") from None
    space: dict[str, Any] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            try:
                space |= build(_range(line))
            except (ValueError, SyntaxError):
                raise UserError(f"{file}, line {number}: {line[:80]!r} must be {_EXPECTED}") from None
    return space


def _range(line: str) -> dict[str, dict[str, Any]]:
    """Return ``{kind: {name: values}}`` for a line ``name kind values``.

    Raises:
        SyntaxError: If the values of ``choice`` are no literal.
        ValueError: If anything else in the line is wrong.
    """
    name, kind, *words = line.split()
    text = "".join(words)  # RecBole leaves out the spaces, also those within a quoted text
    if kind == "choice":
        values = literal(text)
        valid = isinstance(values, (list, tuple, set)) and len(values) > 0
    else:
        values = [float(number) for number in text.split(",")]
        in_order = all(map(math.isfinite, values)) and values[:2] == sorted(values[:2])
        valid = in_order and len(values) == _BOUNDS.get(kind)
    if not valid:
        raise ValueError(line)
    return {kind: {name: values}}


def teacher_network(kd_dagfm: Any) -> None:
    """Look the key ``teacher`` up among KD_DAGFM's networks.

    ``KD_DAGFM.__init__`` evaluates its value to get a class.
    """

    def network(name: str) -> Any:
        if name not in _TEACHERS:
            names = ", ".join(_TEACHERS)
            raise UserError(f"teacher '{name}' must be one of {names}.{nearest(name, _TEACHERS)}")
        return getattr(kd_dagfm, name)

    kd_dagfm.eval = network


def install() -> None:
    """Apply every repair, now or as soon as the module that it repairs is imported."""
    for module, repair in (
        ("recbole.config.configurator", config_values),
        ("recbole.trainer.hyper_tuning", search_space),
        ("recbole.model.context_aware_recommender.kd_dagfm", teacher_network),
    ):
        wrapt.register_post_import_hook(repair, module)
