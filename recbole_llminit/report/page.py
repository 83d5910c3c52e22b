"""A page that needs no other file and fits a phone."""

from __future__ import annotations

import html
from collections.abc import Sequence

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 0 1rem 3rem;
       color: #1c1e21; background: #fff; }
h1 { margin: 1.2rem 0 .2rem; } h2 { margin: 2.2rem 0 .6rem; font-size: 1.25rem; }
p { max-width: 48rem; } p.about, .note { color: #50555c; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #e3e5e8; text-align: right; white-space: nowrap; }
th { text-align: right; border-bottom: 2px solid #9aa0a6; }
th.text, td.text { text-align: left; }
.figure { width: 100%; min-height: 20rem; }
.user { border-top: 2px solid #e3e5e8; padding-top: .5rem; margin-top: 1.2rem; }
.lists { display: flex; flex-wrap: wrap; gap: 1rem; } .lists > div { flex: 1 1 17rem; min-width: 0; }
.lists h4 { margin: .4rem 0; } ol, ul { margin: 0; padding-left: 1.4rem; } li { overflow-wrap: anywhere; }
li.found { background: #d8f3dc; font-weight: 600; }
nav { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: .9rem; }
"""


def page(title: str, about: str, parts: Sequence[tuple[str, str]], head: str = "") -> str:
    """Return a whole HTML page.

    Args:
        title: Of the page; escaped here, as is `about`.
        about: A line beneath it.
        parts: Title and HTML of each part.
        head: HTML for the head, such as scripts.
    """
    links = "".join(f'<a href="#part{i}">{html.escape(name)}</a>' for i, (name, _) in enumerate(parts))
    body = "".join(
        f'<section><h2 id="part{i}">{html.escape(name)}</h2>{text}</section>'
        for i, (name, text) in enumerate(parts)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>{head}</head><body>"
        f'<h1>{html.escape(title)}</h1><p class="about">{html.escape(about)}</p><nav>{links}</nav>{body}'
        "</body></html>\n"
    )


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that scrolls by itself where it is wider than the screen; cells are escaped."""
    text = [not any(_is_number(row[i]) for row in rows) for i in range(len(head))]
    lines = [_cells("th", head, text), *(_cells("td", row, text) for row in rows)]
    return (
        f'<div class="wide"><table><thead>{lines[0]}</thead><tbody>{"".join(lines[1:])}</tbody></table></div>'
    )


def _is_number(cell: str) -> bool:
    return cell.lstrip("+-<.")[:1].isdigit()


def _cells(tag: str, cells: Sequence[str], text: Sequence[bool]) -> str:
    written = (
        f"<{tag}{' class=text' if is_text else ''}>{html.escape(cell)}</{tag}>"
        for cell, is_text in zip(cells, text, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>"
