"""Draw gains over the base from studies' comparisons, one panel for each backbone.

Example: python -m benchmarks.picture results/table1 results/controls --output results/gains.svg

A setting that several folders compare is drawn from the first of them. A filled dot is a gain or loss
whose p over users, Holm-corrected, is below .05; a hollow one is not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

try:
    import matplotlib as mpl
    from matplotlib.figure import Figure
except ImportError:
    raise SystemExit("error: the picture needs matplotlib; pip install 'recbole-llminit[bench]'") from None

_LINE = ["dataset", "model", "setting"]
_COLOURS = {True: "#1b7837", False: "#b2182b"}  # above and below the base


def main() -> None:
    """Read the comparisons and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", nargs="+", type=Path, help="folders with a comparisons.jsonl")
    parser.add_argument("--protocol", default="masked", help="%(default)s")
    parser.add_argument("--metric", default="NDCG@10", help="%(default)s")
    parser.add_argument("--output", type=Path, required=True, help=".svg, .png or .pdf")
    args = parser.parse_args()
    tables = [_gains(folder, args.protocol, args.metric) for folder in args.studies]
    table = pd.concat(tables).drop_duplicates(_LINE)
    if table.empty:
        raise SystemExit(
            f"error: no gains in {args.metric} under protocol '{args.protocol}' in these studies"
        )
    mpl.rcParams["svg.hashsalt"] = "recbole_llminit"  # the same picture is the same file
    draw(table, args.metric).savefig(args.output, metadata={"Date": None}, bbox_inches="tight")


def _gains(folder: Path, protocol: str, metric: str) -> pd.DataFrame:
    table = pd.read_json(folder / "comparisons.jsonl", lines=True)
    table = table[table["protocol"] == protocol].dropna(subset=[f"{metric} gain"])
    if table.duplicated(_LINE).any():
        raise SystemExit(f"error: {folder} varies a key; one line of the picture would stand for several")
    return table


def draw(table: pd.DataFrame, metric: str) -> Figure:
    """Return the figure.

    Args:
        table: Comparisons of one protocol.
        metric: Such as ``NDCG@10``.
    """
    settings = list(dict.fromkeys(table["setting"]))[::-1]
    panels = list(table.groupby(["dataset", "model"], sort=False))
    figure = Figure(figsize=(3.1 * len(panels) + 1.4, 0.3 * len(settings) + 1.1), layout="constrained")
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axis, ((dataset, model), lines) in zip(axes, panels, strict=True):
        for _, line in lines.iterrows():
            gain, y = line[f"{metric} gain"], settings.index(line["setting"])
            colour, sure = _COLOURS[gain > 0], line[f"{metric} p users"] < 0.05
            axis.plot([0, gain], [y, y], color=colour, linewidth=1.5)
            axis.plot(gain, y, "o", color=colour, markerfacecolor=colour if sure else "white")
        axis.axvline(0, color="#50555c", linewidth=1)
        axis.set_title(f"{model}, {dataset}", fontsize=10)
        axis.set_yticks(range(len(settings)), settings)
        axis.grid(axis="x", color="#e3e5e8")
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(left=False)
        axis.set_axisbelow(True)
    figure.supxlabel(f"gain in {metric} over the plain model, %", fontsize=10)
    return figure


if __name__ == "__main__":
    main()
