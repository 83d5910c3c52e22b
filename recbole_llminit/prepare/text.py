"""Item text as it should be read: no markup, no control characters, nothing that breaks a line of a file."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

# What is not closed hides the rest of the text, as in a browser; it also keeps the search linear.
_HIDDEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*|/)?>")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphen, zero width, byte order mark
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LEADING_QUOTES = re.compile(r'^"+')
_LONGEST = 100_000  # characters of a field; RecBole's reader stops at 131,072
_LISTS = ("categories", "genres")  # columns whose values are words, not prose


def clean(text: str | None) -> str:
    """Return a text on one line without HTML, entities or control characters.

    Entities are decoded twice, for crawled text is often encoded twice. A double quote at the start
    becomes single quotes: RecBole's reader would take it for the opening of a quoted field. What is longer
    than 100,000 characters is cut.
    """
    if not text:
        return ""
    text = html.unescape(html.unescape(text))
    text = _TAG.sub(" ", _HIDDEN.sub(" ", text))
    text = _CONTROL.sub(" ", _INVISIBLE.sub("", text))
    return _LEADING_QUOTES.sub(
        lambda quotes: "'" * len(quotes[0]), " ".join(text.split())[:_LONGEST].rstrip()
    )


def flatten(value: str | None, column: str) -> str:
    """Clean a field that may hold a (nested) JSON list: words joined by commas, prose by spaces.

    Repeated entries are kept once, in their order; ``[["Beauty", "Hair"], ["Beauty", "Nails"]]``
    becomes ``Beauty, Hair, Nails``.
    """
    if value is None or not value.startswith("["):
        return clean(value)
    try:
        entries = list(_leaves(json.loads(value)))
    except (ValueError, RecursionError):
        return clean(value)  # prose in brackets
    parts = dict.fromkeys(filter(None, map(clean, entries)))
    return clean((", " if column in _LISTS else " ").join(parts))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for entry in value:
            yield from _leaves(entry)
    elif value is not None:
        yield str(value)
