"""What the numbers of several seeds say: intervals, paired tests and Holm's correction.

The distributions and tests are SciPy's; Holm's step-down is not in SciPy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = Sequence[float] | npt.NDArray[np.floating]
LEVEL = 0.95


def half_width(values: Values) -> float:
    """Return half the 95 % t-interval of the mean; NaN for fewer than two values."""
    n = len(values)
    if n < 2:
        return float("nan")
    return float(stats.sem(values) * stats.t.ppf((1 + LEVEL) / 2, n - 1))


def paired_p(values: Values, base: Values) -> float:
    """Return the two-sided p of a paired t-test; NaN for fewer than two pairs or no difference at all.

    Args:
        values: (n,) one value per seed, or per user.
        base: (n,) the base's value for the same.
    """
    difference = np.asarray(values, dtype=float) - np.asarray(base, dtype=float)
    if len(difference) < 2 or not difference.any():
        return float("nan")
    return float(stats.ttest_rel(values, base).pvalue)


def gain(values: Values, base: Values) -> float:
    """Return by how many percent the mean is above the base's."""
    mean = float(np.mean(base))
    return 100 * (float(np.mean(values)) - mean) / mean if mean else float("nan")


def gain_half(values: Values, base: Values) -> float:
    """Return half the 95 % t-interval of the paired difference, in percent of the base's mean.

    NaN for fewer than two pairs, no difference at all, or a base of 0. The base's mean is taken as it is:
    its own uncertainty is no part of the interval.

    Args:
        values: (n,) one value per seed.
        base: (n,) the base's value for the same.
    """
    mean = float(np.mean(base))
    difference = np.asarray(values, dtype=float) - np.asarray(base, dtype=float)
    return 100 * half_width(difference) / mean if mean and difference.any() else float("nan")


def holm(p_values: Values) -> npt.NDArray[np.float64]:
    """Return p-values corrected for their number, as given; NaN is no comparison and stays.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6 (1979): the i-th smallest of m is multiplied by m - i + 1, and none is smaller than
    one before it.
    """
    given = np.asarray(p_values, dtype=float)
    corrected = np.full(len(given), np.nan)
    order = np.argsort(given)[: int(np.isfinite(given).sum())]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(given[order] * factors))
    return corrected
