"""Read and check values of config keys: each function returns the value or raises a one-line error."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from recbole_llminit.utils.errors import UserError, nearest

_Choice = TypeVar("_Choice", bound=Enum)


def choice(config: Any, key: str, choices: type[_Choice]) -> _Choice:
    """Return the member of the enum `choices` that the value of `key` names.

    Raises:
        UserError: If it names no member.
    """
    value = "none" if config[key] is None else config[key]  # None means the same as the text `none`
    try:
        return choices(value)
    except ValueError:
        names = [c.value for c in choices]
        raise UserError(
            f"{key} '{value}' must be one of {', '.join(names)}.{nearest(str(value), names)}"
        ) from None


def flag(config: Any, key: str) -> bool:
    """Return the value of `key` as a truth value.

    Raises:
        UserError: If it is neither true nor false.
    """
    value = config[key]
    if not isinstance(value, bool):
        raise UserError(f"{key} '{value}' must be true or false")
    return value


def whole(config: Any, key: str, least: int) -> int:
    """Return the value of `key` as a whole number.

    Raises:
        UserError: If it is no whole number of at least `least`.
    """
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{key} '{value}' must be a whole number of at least {least}")
    return value


def number(config: Any, key: str, least: float) -> float:
    """Return the value of `key` as a number.

    Raises:
        UserError: If it is no finite number of at least `least`.
    """
    value = config[key]
    if not is_number(value) or not least <= value < float("inf"):
        raise UserError(f"{key} '{value}' must be a number from {least:g} on")
    return float(value)


def share(config: Any, key: str) -> float:
    """Return the value of `key` as a share.

    Raises:
        UserError: If it is no number from 0 up to, but not including, 1.
    """
    value = config[key]
    if not is_number(value) or not 0 <= value < 1:
        raise UserError(f"{key} '{value}' must be a number from 0 to below 1")
    return float(value)


def is_number(value: Any) -> bool:
    """Tell whether a value is a number; true and false, which are ints in Python, are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
