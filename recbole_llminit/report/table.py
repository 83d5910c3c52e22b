"""Read result files, and print a small table of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from recbole_llminit.utils.errors import UserError

_LABELS = {"paper": "unmasked", "sequential": "sequential, unmasked"}


def label(protocol: str) -> str:
    """Return a protocol's name as it is shown in tables."""
    return _LABELS.get(protocol, protocol)


def shown_gain(gain: float, half: float) -> str:
    """Return a gain in percent with half of its interval as text; empty if the gain is NaN."""
    if math.isnan(gain):
        return ""
    return f"{gain:+.1f}" + ("" if math.isnan(half) else f" ± {half:.1f}")


def read_result(file: Path) -> dict[str, Any]:
    """Read a result file.

    Raises:
        UserError: If it does not exist, or is not the result file of a run.
    """
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        named = {key: str(result[key]) for key in ("model", "dataset")}
        return {**result, **named, "test": dict(result["test"]), "seconds": dict(result["seconds"])}
    except FileNotFoundError:
        if file.suffix != ".json":
            raise UserError(
                f"{file} does not exist; `recbole-llminit experiment` writes a study's folder, and a run the "
                "file that --result_file names"
            ) from None
        raise UserError(f"{file} does not exist; a run writes it with --result_file={file}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{file} is not a result file (see result_file in the README)") from None


def results_table(results: Sequence[dict[str, Any]], metrics: Sequence[str]) -> str:
    """Return a Markdown table with one row per run: model, dataset, metrics, best epoch, seconds.

    The cell of a metric that a run did not compute is empty. Synthetic data are marked as such.
    """
    rows = [
        [
            result["model"],
            result["dataset"] + (" (synthetic)" if (result.get("data") or {}).get("synthetic") else ""),
            *(result["test"].get(metric.lower()) for metric in metrics),
            result["best_epoch"],
            round(result["seconds"]["total"], 1),
        ]
        for result in results
    ]
    head = ["model", "dataset", *metrics, "best epoch", "seconds"]
    formats = ("", "", *[".4f"] * len(metrics), "d", ".1f")
    return tabulate(rows, headers=head, tablefmt="github", floatfmt=formats)
