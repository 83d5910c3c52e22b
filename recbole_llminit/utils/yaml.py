"""Read YAML as RecBole does, so that ``1e-3`` is a number."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from recbole_llminit.utils.errors import UserError


class _Loader(yaml.SafeLoader):
    """YAML's safe loader that also reads 1e-3 as a number, which is text by YAML 1.1."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(text: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        yaml.YAMLError: If the text is not YAML.
    """
    return yaml.load(text, Loader=_Loader)


def read_mapping(file: Path) -> dict[str, Any]:
    """Return the fields of a YAML file; an empty file has none.

    Raises:
        UserError: If the file is not UTF-8 or not YAML, or holds no mapping.
    """
    try:
        content = read_yaml(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8: {error}") from None
    if content is not None and not isinstance(content, dict):
        raise UserError(f"{file} holds a {type(content).__name__}; expected a mapping of fields to values")
    return content or {}
