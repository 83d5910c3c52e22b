"""Figures of a report: one panel for each backbone, one colour for each setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from recbole_llminit.report.entries import Entry, first_seeds
from recbole_llminit.report.groups import group_gains

_PANEL = 260  # pixels of height
_COLOURS = qualitative.Safe  # told apart by colour-blind readers too
Panels = dict[str, list[tuple[str, Any]]]  # panel -> (setting, trace)


def script() -> str:
    """Return plotly's JavaScript as part of the page: the page opens offline."""
    return f"<script>{get_plotlyjs()}</script>"


def curves(entries: Sequence[Entry]) -> str:
    """Show validation scores by epoch, of the first seed."""

    def trace(entry: Entry) -> Any:
        curve = entry.result.get("curve") or {}
        if not curve.get("valid"):
            return None
        mode = "lines" if len(curve["valid"]) > 4 else "lines+markers"  # a line of one point is nothing
        return go.Scatter(x=curve["epochs"], y=curve["valid"], mode=mode)

    metric = next((e.result["curve"]["metric"] for e in entries if e.result.get("curve")), "score")
    panels = _panels(first_seeds(entries), trace)
    return _figure(panels, _names(entries), "epoch", f"validation {metric}")


def spectra(entries: Sequence[Entry]) -> str:
    """Show the singular values of the trained item tables over the largest, of the first seed."""

    def trace(entry: Entry) -> Any:
        table = (entry.result.get("tables") or {}).get("item_embedding")
        if not table or not table["singular_values"][0]:
            return None
        values = [value / table["singular_values"][0] for value in table["singular_values"]]
        return go.Scatter(x=list(range(1, len(values) + 1)), y=values, mode="lines")

    panels = _panels(first_seeds(entries), trace)
    dimensions = {"type": "log", "dtick": 1}
    shares = {"type": "log", "tickvals": [n / 10**e for e in range(1, 7) for n in (10, 5, 2)]}
    return _figure(panels, _names(entries), "dimension", "singular value / largest", x=dimensions, y=shares)


def gains(entries: Sequence[Entry], by: str, metric: str) -> str:
    """Show by how many percent each setting is above the base, group by group, over the seeds both have.

    Args:
        entries: Entries of one dataset and protocol.
        by: ``user activity`` or ``item popularity``.
        metric: Such as ``ndcg@10``.
    """
    panels: Panels = {}
    lines = group_gains(entries, by, metric)
    if lines.empty:
        return ""
    for where, cell in lines[~lines["is_base"]].groupby(["backbone", "setting"], sort=False):
        backbone, setting = map(str, where)
        names = [f"{name} " for name in cell["bucket"]]  # a blank: no number, no date
        bar = go.Bar(x=names, y=cell["gain"].round(1).tolist(), error_y=_error(cell["half"].round(1)))
        panels.setdefault(backbone, []).append((setting, bar))
    return _figure(panels, _names(entries), f"{by}; lines: 95 % intervals", f"gain in {metric}, %")


def _error(half: pd.Series[float]) -> dict[str, Any]:
    """Return error bars; without caps, so that nothing is drawn where there is no interval."""
    return (
        {"type": "data", "array": half.fillna(0).tolist(), "thickness": 1.5, "width": 0} if half.any() else {}
    )


def sweep(table: pd.DataFrame, key: str, metric: str) -> str:
    """Show a metric by a varied number, with its 95 % intervals over seeds.

    Args:
        table: The comparison of a study, of one dataset and protocol.
        key: The column of what is varied.
        metric: Such as ``NDCG@10``.
    """
    panels: Panels = {}
    for where, cell in table.groupby(["model", "setting"], sort=False):
        model, setting = map(str, where)
        numbers = pd.to_numeric(cell[key])
        line = cell.assign(x=numbers).sort_values("x")
        trace = go.Scatter(
            x=line["x"].tolist(),
            y=line[metric].tolist(),
            mode="lines+markers",
            error_y=_error(line[f"{metric} half"]),
        )
        panels.setdefault(model, []).append((setting, trace))
    sizes = pd.to_numeric(table[key])
    log = {"type": "log"} if (sizes > 0).all() and sizes.max() / sizes.min() > 10 else {}
    names = list(map(str, table["setting"].unique()))
    return _figure(panels, names, key, metric, x=log | {"tickvals": sorted(sizes.unique().tolist())})


def _panels(entries: Sequence[Entry], trace: Callable[[Entry], Any]) -> Panels:
    panels: Panels = {}
    for entry in entries:
        if made := trace(entry):
            panels.setdefault(entry.group, []).append((entry.setting, made))
    return panels


def _names(entries: Sequence[Entry]) -> list[str]:
    """Return the settings in their order: a setting has one colour on the whole page."""
    return list(dict.fromkeys(entry.setting for entry in entries))


def _figure(
    panels: Panels,
    names: list[str],
    x_title: str,
    y_title: str,
    x: dict[str, Any] | None = None,
    y: dict[str, Any] | None = None,
) -> str:
    """Return panels beneath each other as HTML; nothing where there is nothing to show."""
    if not panels:
        return ""
    n = len(panels)
    figure = make_subplots(rows=n, cols=1, subplot_titles=list(panels), vertical_spacing=0.35 / n)
    shown: set[str] = set()
    for row, traces in enumerate(panels.values(), start=1):
        for name, trace in traces:
            colour = _COLOURS[names.index(name) % len(_COLOURS)]
            trace.update(name=name, legendgroup=name, showlegend=name not in shown, marker={"color": colour})
            if isinstance(trace, go.Scatter):
                trace.update(line={"color": colour})
            shown.add(name)
            figure.add_trace(trace, row=row, col=1)
    figure.update_xaxes(title_text=x_title, **(x or {}))
    figure.update_yaxes(title_text=y_title, automargin=True, **(y or {}))
    figure.update_layout(
        height=_PANEL * n + 140,
        margin={"l": 10, "r": 10, "t": 60, "b": 10},
        legend={"orientation": "h", "y": 1 + 60 / (_PANEL * n), "yanchor": "bottom"},
        template="plotly_white",
    )
    html: str = figure.to_html(
        full_html=False, include_plotlyjs=False, config={"responsive": True, "displayModeBar": False}
    )
    return f'<div class="figure">{html}</div>'
