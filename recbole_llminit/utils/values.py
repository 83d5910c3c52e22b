"""Values of config keys, checked as they are read: each function returns one or says what was expected."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from recbole_llminit.utils.errors import UserError, nearest

_Choice = TypeVar("_Choice", bound=Enum)


def choice(config: Any, key: str, choices: type[_Choice]) -> _Choice:
    """Return the member of `choices` that a key names.

    Raises:
        UserError: If it names none.
    """
    value = "none" if config[key] is None else config[key]  # YAML's `none` and Python's None
    try:
        return choices(value)
    except ValueError:
        names = [c.value for c in choices]
        raise UserError(
            f"{key} '{value}' must be one of {', '.join(names)}.{nearest(str(value), names)}"
        ) from None


def flag(config: Any, key: str) -> bool:
    """Return a key's value.

    Raises:
        UserError: If it is neither true nor false.
    """
    value = config[key]
    if not isinstance(value, bool):
        raise UserError(f"{key} '{value}' must be true or false")
    return value


def whole(config: Any, key: str, least: int) -> int:
    """Return a key's value.

    Raises:
        UserError: If it is no whole number of at least `least`.
    """
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{key} '{value}' must be a whole number of at least {least}")
    return value


def number(config: Any, key: str, least: float) -> float:
    """Return a key's value.

    Raises:
        UserError: If it is no finite number of at least `least`.
    """
    value = config[key]
    if not is_number(value) or not least <= value < float("inf"):
        raise UserError(f"{key} '{value}' must be a number from {least:g} on")
    return float(value)


def share(config: Any, key: str) -> float:
    """Return a key's value.

    Raises:
        UserError: If it is no number from 0 up to, but not including, 1.
    """
    value = config[key]
    if not is_number(value) or not 0 <= value < 1:
        raise UserError(f"{key} '{value}' must be a number from 0 to below 1")
    return float(value)


def is_number(value: Any) -> bool:
    """Tell whether a value is a number; YAML's true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
