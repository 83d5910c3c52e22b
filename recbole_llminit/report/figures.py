"""Draw the figures of a report, with one panel for each backbone and one colour for each setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.colors import qualitative
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from recbole_llminit.report.entries import Entry, first_seeds
from recbole_llminit.report.groups import group_gains
from recbole_llminit.report.page import render

_PANEL = 260  # height of a panel in pixels
_COLOURS = qualitative.Safe  # colours that colour-blind readers can tell apart
Trace = tuple[str, str, Any]  # panel, setting and plotly's trace


def script() -> Markup:
    """Return plotly's JavaScript, which the page carries so that it opens offline."""
    return Markup(get_plotlyjs())


def curves(entries: Sequence[Entry]) -> Markup:
    """Draw the validation score of each epoch, for the first seed of each setting."""
    traces: list[Trace] = []
    for entry in first_seeds(entries):
        curve = entry.result.get("curve") or {}
        if curve.get("valid"):
            mode = "lines" if len(curve["valid"]) > 4 else "lines+markers"  # a line of one point is invisible
            trace = go.Scatter(x=curve["epochs"], y=curve["valid"], mode=mode)
            traces.append((entry.group, entry.setting, trace))
    metric = next((e.result["curve"]["metric"] for e in entries if e.result.get("curve")), "score")
    return _figure(traces, _names(entries), {"title": "epoch"}, {"title": f"validation {metric}"})


def spectra(entries: Sequence[Entry]) -> Markup:
    """Draw the trained item tables' singular values, divided by the largest, for the first seed."""
    traces: list[Trace] = []
    for entry in first_seeds(entries):
        table = (entry.result.get("tables") or {}).get("item_embedding")
        if table and table["singular_values"][0]:
            shares = [value / table["singular_values"][0] for value in table["singular_values"]]
            trace = go.Scatter(x=list(range(1, len(shares) + 1)), y=shares, mode="lines")
            traces.append((entry.group, entry.setting, trace))
    ticks = [n / 10**e for e in range(1, 7) for n in (10, 5, 2)]
    x = {"title": "dimension", "type": "log", "dtick": 1}
    y = {"title": "singular value / largest", "type": "log", "tickvals": ticks}
    return _figure(traces, _names(entries), x, y)


def gains(entries: Sequence[Entry], by: str, metric: str) -> Markup:
    """Draw by how many percent each setting is above the baseline in each group of users or target items.

    Args:
        entries: Entries of one dataset and protocol.
        by: ``user activity`` or ``item popularity``.
        metric: Such as ``ndcg@10``.
    """
    lines = group_gains(entries, by, metric)
    if lines.empty:
        return Markup()
    traces: list[Trace] = []
    for where, cell in lines[~lines["is_base"]].groupby(["backbone", "setting"], sort=False):
        names = [f"{name} " for name in cell["bucket"]]  # so that plotly reads neither a number nor a date
        bar = go.Bar(x=names, y=cell["gain"].round(1).tolist(), error_y=_error(cell["half"].round(1)))
        traces.append((str(where[0]), str(where[1]), bar))
    x, y = {"title": f"{by}; lines: 95 % intervals"}, {"title": f"gain in {metric}, %"}
    return _figure(traces, _names(entries), x, y)


def sweep(table: pd.DataFrame, key: str, metric: str) -> Markup:
    """Draw a metric over a varied number, with its 95 % intervals over seeds.

    Args:
        table: A study's table for one dataset and protocol.
        key: The varied key, which is a column of the table.
        metric: Such as ``NDCG@10``.
    """
    table = table.assign(x=pd.to_numeric(table[key]))
    traces: list[Trace] = []
    for where, cell in table.groupby(["model", "setting"], sort=False):
        line = cell.sort_values("x")
        x, y, error = line["x"].tolist(), line[metric].tolist(), _error(line[f"{metric} half"])
        trace = go.Scatter(x=x, y=y, mode="lines+markers", error_y=error)
        traces.append((str(where[0]), str(where[1]), trace))
    sizes = sorted(table["x"].unique().tolist())
    scale = {"type": "log"} if sizes[0] > 0 and sizes[-1] / sizes[0] > 10 else {}
    names = list(map(str, table["setting"].unique()))
    return _figure(traces, names, {"title": key, **scale, "tickvals": sizes}, {"title": metric})


def _error(half: pd.Series[float]) -> dict[str, Any]:
    """Return error bars, which have no caps, so that nothing is drawn where there is no interval."""
    return (
        {"type": "data", "array": half.fillna(0).tolist(), "thickness": 1.5, "width": 0} if half.any() else {}
    )


def _names(entries: Sequence[Entry]) -> list[str]:
    """Return the settings in their order, which gives each setting one colour on the whole page."""
    return list(dict.fromkeys(entry.setting for entry in entries))


def _figure(traces: Sequence[Trace], names: list[str], x: dict[str, Any], y: dict[str, Any]) -> Markup:
    """Return the panels one below the other as HTML; empty if there is nothing to show."""
    if not traces:
        return Markup()
    panels = list(dict.fromkeys(panel for panel, _, _ in traces))
    n = len(panels)
    figure = make_subplots(rows=n, cols=1, subplot_titles=panels, vertical_spacing=0.35 / n)
    shown: set[str] = set()
    for panel, name, trace in sorted(traces, key=lambda trace: panels.index(trace[0])):
        colour = _COLOURS[names.index(name) % len(_COLOURS)]
        trace.update(name=name, legendgroup=name, showlegend=name not in shown, marker={"color": colour})
        if isinstance(trace, go.Scatter):
            trace.update(line={"color": colour})
        shown.add(name)
        figure.add_trace(trace, row=panels.index(panel) + 1, col=1)
    figure.update_xaxes(**x)
    figure.update_yaxes(**y, automargin=True)
    figure.update_layout(
        height=_PANEL * n + 140,
        margin={"l": 10, "r": 10, "t": 60, "b": 10},
        legend={"orientation": "h", "y": 1 + 60 / (_PANEL * n), "yanchor": "bottom"},
        template="plotly_white",
    )
    config = {"responsive": True, "displayModeBar": False}
    drawing = figure.to_html(full_html=False, include_plotlyjs=False, config=config)
    return render("figure", drawing=Markup(drawing))
