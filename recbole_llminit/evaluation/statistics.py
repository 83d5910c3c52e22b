"""Compare metrics over several seeds: intervals, paired tests and Holm's correction.

The distributions and tests are SciPy's; Holm's step-down procedure is not in SciPy.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = Sequence[float] | npt.NDArray[np.floating]
LEVEL = 0.95


def half_width(values: Values) -> float:
    """Return half of the 95 % t-interval of the mean, or NaN for fewer than two values."""
    n = len(values)
    if n < 2:
        return float("nan")
    return float(stats.sem(values) * stats.t.ppf((1 + LEVEL) / 2, n - 1))


def paired_p(values: Values, baseline: Values) -> float:
    """Return the two-sided p of a paired t-test, or NaN for fewer than two pairs or no difference at all.

    Args:
        values: (n,) one value per seed, or one per user.
        baseline: (n,) the baseline's values for the same seeds or users.
    """
    difference = np.asarray(values, dtype=float) - np.asarray(baseline, dtype=float)
    if len(difference) < 2 or not difference.any():
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal differences: p is 0 or close to it
        return float(stats.ttest_rel(values, baseline).pvalue)


def gain(values: Values, baseline: Values) -> float:
    """Return by how many percent the mean is above the baseline's, or NaN if the baseline's mean is 0."""
    mean = float(np.mean(baseline))
    return 100 * (float(np.mean(values)) - mean) / mean if mean else float("nan")


def gain_half(values: Values, baseline: Values) -> float:
    """Return half of the 95 % t-interval of the paired difference, in percent of the baseline's mean.

    It is NaN for fewer than two pairs, no difference at all, or a baseline whose mean is 0. The uncertainty
    of the baseline's mean is not part of the interval.

    Args:
        values: (n,) one value per seed.
        baseline: (n,) the baseline's values for the same seeds.
    """
    mean = float(np.mean(baseline))
    difference = np.asarray(values, dtype=float) - np.asarray(baseline, dtype=float)
    return 100 * half_width(difference) / mean if mean and difference.any() else float("nan")


@dataclass(frozen=True)
class Comparison:
    """A setting compared with its baseline over the seeds that both have; all numbers are NaN without one.

    Attributes:
        seeds: The seeds that both have.
        mean: Mean of the setting.
        baseline: Mean of the baseline.
        gain: Percent by which the setting's mean is above the baseline's.
        half: Half of the 95 % interval of the gain, from `gain_half`.
        p: p-value of a paired t-test over the seeds.
    """

    seeds: tuple[int, ...]
    mean: float
    baseline: float
    gain: float
    half: float
    p: float


def compare_seeds(ours: Mapping[int, float], baseline: Mapping[int, float]) -> Comparison:
    """Compare a setting with its baseline over the seeds that both have.

    Args:
        ours: The setting's value for each seed.
        baseline: The baseline's value for each seed.
    """
    seeds = tuple(seed for seed in ours if seed in baseline)
    if not seeds:
        return Comparison((), *[float("nan")] * 5)
    values, others = [ours[seed] for seed in seeds], [baseline[seed] for seed in seeds]
    return Comparison(
        seeds,
        mean=float(np.mean(values)),
        baseline=float(np.mean(others)),
        gain=gain(values, others),
        half=gain_half(values, others),
        p=paired_p(values, others),
    )


def holm(p_values: Values) -> npt.NDArray[np.float64]:
    """Return the p-values, in their order, corrected for the number of comparisons.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979): the i-th smallest of m p-values is multiplied by m - i + 1, and raised to the corrected value of
    the one before it if that is larger; 1 is the upper limit. A NaN stays NaN and is not counted in m.
    """
    given = np.asarray(p_values, dtype=float)
    corrected = np.full(len(given), np.nan)
    order = np.argsort(given)[: int(np.isfinite(given).sum())]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(given[order] * factors))
    return corrected
