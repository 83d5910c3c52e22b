"""Render an HTML page that needs no other file and fits a phone.

The templates in ``templates/`` escape every value, except `Markup`. What a template renders is `Markup`, so
that other templates can hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

_TEMPLATES = Environment(
    loader=PackageLoader("recbole_llminit.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def render(template: str, **values: Any) -> Markup:
    """Return the HTML of a template; values other than `Markup` are escaped."""
    return Markup(_TEMPLATES.get_template(f"{template}.html").render(values))


def page(title: str, about: str, parts: Sequence[tuple[str, Markup]], script: str = "") -> str:
    """Return a whole HTML page.

    Args:
        title: Title of the page.
        about: A line below the title.
        parts: Title and HTML of each part.
        script: JavaScript that the page carries, as `Markup`, since it must not be escaped.
    """
    return render("page", title=title, about=about, parts=parts, script=script)


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """Return a table that scrolls sideways if it is wider than the screen, with numbers aligned right."""
    is_text = [not any(_is_number(row[i]) for row in rows) for i in range(len(head))]
    return render("table", head=head, rows=rows, is_text=is_text)


def _is_number(cell: str) -> bool:
    return cell.lstrip("+-<.")[:1].isdigit()
