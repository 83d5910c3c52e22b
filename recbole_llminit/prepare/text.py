"""Clean item texts of markup, control characters and whatever would break a line of an atomic file."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

# An element that is not closed hides the rest of the text, as in a browser; so the search stays linear.
_HIDDEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*|/)?>")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphen, zero width, byte order mark
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LEADING_QUOTES = re.compile(r'^"+')
_LONGEST = 100_000  # characters of a field; RecBole's reader stops at 131,072
_LISTS = ("categories", "genres")  # columns whose lists hold words, not sentences


def clean(text: str | None) -> str:
    """Return a text on one line without HTML, entities or control characters.

    Entities are decoded twice, because crawled text is often encoded twice. Double quotes at the start
    become single quotes, because RecBole's reader would take them for the start of a quoted field. The
    text is cut after 100,000 characters.
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
    """Return a field as one clean text; the field may hold a (nested) JSON list.

    A list's entries are joined by commas in the columns `_LISTS` and by spaces in others. Each entry is
    kept once, in order: ``[["Beauty", "Hair"], ["Beauty", "Nails"]]`` becomes ``Beauty, Hair, Nails``.
    """
    if value is None or not value.startswith("["):
        return clean(value)
    try:
        entries = list(_leaves(json.loads(value)))
    except (ValueError, RecursionError):
        return clean(value)  # the field is a text in brackets, not a list
    parts = dict.fromkeys(filter(None, map(clean, entries)))
    return clean((", " if column in _LISTS else " ").join(parts))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for entry in value:
            yield from _leaves(entry)
    elif value is not None:
        yield str(value)
