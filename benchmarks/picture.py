"""Draw gains over the baseline with their 95 % intervals.

There is one panel for each dataset and model, and one block of rows for each study.

Example: python -m benchmarks.picture "results/table1=rate 0.001" "results/initializers=own rates" \
    --output results/gains.svg

The intervals are those of the paired difference over seeds; a gain from one seed has no interval.
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

_COLOURS = {True: "#1b7837", False: "#b2182b"}  # keyed by whether the gain is positive


def main() -> None:
    """Read the comparisons and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", nargs="+", help="folder with a comparisons.jsonl [=heading]")
    parser.add_argument("--protocol", default="masked", help="%(default)s")
    parser.add_argument("--metric", default="NDCG@10", help="%(default)s")
    parser.add_argument("--output", type=Path, required=True, help=".svg, .png or .pdf")
    args = parser.parse_args()
    blocks: dict[str, pd.DataFrame] = {}
    for study in args.studies:
        folder, _, heading = (study, "", "") if Path(study).is_dir() else study.partition("=")
        heading = heading or Path(folder).name
        if heading in blocks:
            raise SystemExit(
                f"error: two studies have the heading '{heading}'; give one another: FOLDER=HEADING"
            )
        blocks[heading] = _gains(Path(folder), args.protocol, args.metric)
    mpl.rcParams["svg.hashsalt"] = "recbole_llminit"  # makes the file the same each time
    draw(blocks, args.metric).savefig(args.output, metadata={"Date": None}, bbox_inches="tight")


def _gains(folder: Path, protocol: str, metric: str) -> pd.DataFrame:
    if not (folder / "comparisons.jsonl").is_file():
        raise SystemExit(
            f"error: {folder} holds no comparisons.jsonl; `recbole-llminit experiment` writes it"
        )
    table = pd.read_json(folder / "comparisons.jsonl", lines=True)
    if f"{metric} gain half" not in table:
        raise SystemExit(f"error: {folder} has no interval of the gain in {metric}; summarise it again")
    table = table[table["protocol"] == protocol].dropna(subset=[f"{metric} gain"])
    if table.empty:
        raise SystemExit(f"error: {folder} has no gains in {metric} under protocol '{protocol}'")
    if table.duplicated(["dataset", "model", "setting"]).any():
        raise SystemExit(f"error: {folder} varies a key; one line of the picture would stand for several")
    return table


def draw(blocks: dict[str, pd.DataFrame], metric: str) -> Figure:
    """Return the figure.

    Args:
        blocks: For each study, its heading and its comparisons under one protocol.
        metric: The metric of the gains, such as ``NDCG@10``.
    """
    rows = [
        (heading, name) for heading, table in blocks.items() for name in [None, *table["setting"].unique()]
    ]
    lines = pd.concat([table.assign(block=heading) for heading, table in blocks.items()])
    panels = list(lines.groupby(["dataset", "model"], sort=False))
    figure = Figure(figsize=(3.1 * len(panels) + 1.6, 0.28 * len(rows) + 1.1), layout="constrained")
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axis, ((dataset, model), some) in zip(axes, panels, strict=True):
        for _, line in some.iterrows():
            gain, y = line[f"{metric} gain"], rows.index((line["block"], line["setting"]))
            colour = _COLOURS[gain > 0]
            axis.errorbar(gain, y, xerr=line[f"{metric} gain half"], fmt="o", color=colour, capsize=2)
        axis.axvline(0, color="#50555c", linewidth=1)
        axis.set_title(f"{model}, {dataset}", fontsize=10)
        axis.set_yticks(range(len(rows)), [name or heading for heading, name in rows])
        axis.grid(axis="x", color="#e3e5e8")
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(left=False)
        axis.set_axisbelow(True)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)  # puts the first row on top
    for (_, name), text in zip(rows, axes[0].get_yticklabels(), strict=True):
        text.set_fontweight("normal" if name else "bold")
    figure.supxlabel(f"gain in {metric} over the baseline, %", fontsize=10)
    return figure


if __name__ == "__main__":
    main()
