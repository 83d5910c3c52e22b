"""Make typed dataclasses from JSON, YAML or flags, with a one-line error for the first wrong value.

The dataclasses are pydantic's: ``@dataclass(frozen=True, config=STRICT)`` from ``pydantic.dataclasses``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, PlainValidator, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from recbole_llminit.utils.errors import UserError, nearest
from recbole_llminit.utils.values import is_number

STRICT = ConfigDict(extra="forbid", strict=True)

_UNKNOWN = "unknown field '{field}'"
_WRONG = "field '{field}' must be {expected}, not '{value}'"
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "dataclass_type": "a mapping",
}
_Schema = TypeVar("_Schema")


def _number(value: Any) -> Any:
    if not is_number(value):
        raise PydanticCustomError("float_type", "no number")
    return value


Number = Annotated[float, PlainValidator(_number)]
"""A number that is kept as it is: 4 stays 4, so that JSON is written as it was read."""


def checked(kind: type[_Schema], values: Any, where: str = "", **words: str) -> _Schema:
    """Make a dataclass from a mapping, and check the types of its values.

    Args:
        kind: A pydantic dataclass.
        values: A mapping from the fields to their values.
        where: Start of an error message, such as ``f"{file}: "``.
        words: The templates `unknown` and `wrong` of :func:`one_line`.

    Raises:
        UserError: If `values` is no mapping, a field is unknown or missing, or a value has a wrong type.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where}expected a mapping of fields, found '{values}'")
    try:
        return kind(**{str(field): value for field, value in values.items()})
    except ValidationError as error:
        raise UserError(where + one_line(error, kind, **words)) from None


def read_json(kind: type[_Schema], file: Path, what: str) -> _Schema:
    """Read a JSON file as a dataclass.

    Args:
        kind: A pydantic dataclass.
        file: The JSON file with the fields.
        what: What the file should be, for the error message.

    Raises:
        UserError: If the file is not JSON, a field is unknown or missing, or a value has a wrong type.
    """
    try:
        return TypeAdapter(kind).validate_json(file.read_bytes())
    except ValidationError as error:
        raise UserError(f"{file} is not {what}: {one_line(error, kind)}") from None


def one_line(error: ValidationError, kind: type, unknown: str = _UNKNOWN, wrong: str = _WRONG) -> str:
    """Return a one-line message about the first mistake that pydantic found.

    The message of a `UserError` that a validator or ``__post_init__`` raised is returned unchanged.

    Args:
        error: The error that pydantic raised.
        kind: The dataclass that could not be made.
        unknown: Template with ``field``, for a field that does not exist.
        wrong: Template with ``field``, ``flag`` (the field in the spelling of a flag, without the leading
            dashes), ``value`` and ``expected``, for a value of a wrong type.
    """
    mistakes = error.errors(include_url=False)
    # For a misspelt field pydantic reports an unknown and a missing one; the former explains more.
    unknowns = [mistake for mistake in mistakes if mistake["type"] == "unexpected_keyword_argument"]
    first = (unknowns or mistakes)[0]
    cause, value = first.get("ctx", {}).get("error"), " ".join(str(first["input"]).split())[:80]
    if isinstance(cause, UserError):
        return str(cause)
    if first["type"] == "json_invalid":
        return f"it is not JSON ({cause})"
    known = [field.name for field in fields(kind)]
    field = ".".join(
        known[part] if at == 0 and isinstance(part, int) else str(part)
        for at, part in enumerate(first["loc"])
    )
    if not field:
        return f"expected a mapping of fields, found '{value}'"
    if first["type"] == "unexpected_keyword_argument":
        return f"{unknown.format(field=field)}.{nearest(field, known)}"
    if first["type"] in ("missing", "too_short") or first["input"] is None:
        return f"field '{field}' is missing or empty"
    return wrong.format(field=field, flag=field.replace("_", "-"), value=value, expected=_expected(first))


def _expected(mistake: Mapping[str, Any]) -> str:
    """Return a description of the expected value."""
    if mistake["type"] == "literal_error":
        names = str(mistake["ctx"]["expected"]).replace(" or ", ", ").replace("'", "")
        return f"one of {names}"
    return _EXPECTED.get(mistake["type"], str(mistake["msg"]).removeprefix("Input should be "))
