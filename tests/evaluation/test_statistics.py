"""Intervals and tests equal SciPy's; Holm's correction equals values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recbole_llminit.evaluation.statistics import (
    compare_seeds,
    gain,
    gain_half,
    half_width,
    holm,
    paired_p,
)

OURS, BASE = [0.31, 0.29, 0.33, 0.30, 0.34], [0.28, 0.27, 0.30, 0.30, 0.29]


def test_interval_is_scipys() -> None:
    low, high = stats.t.interval(0.95, len(OURS) - 1, loc=np.mean(OURS), scale=stats.sem(OURS))
    assert half_width(OURS) == pytest.approx((high - low) / 2)
    # By hand: 0, 2, 4 has mean 2, standard error 2 / sqrt(3), and t(0.975; 2) = 4.302653
    assert half_width([0, 2, 4]) == pytest.approx(4.302653 * 2 / np.sqrt(3), rel=1e-6)
    assert np.isnan(half_width([0.3]))


def test_paired_test_is_scipys() -> None:
    assert paired_p(OURS, BASE) == stats.ttest_rel(OURS, BASE).pvalue
    # By hand: differences 1, 2, 3 have mean 2 and standard error 1 / sqrt(3); t = 2 sqrt(3), 2 degrees
    assert paired_p([2, 4, 6], [1, 2, 3]) == pytest.approx(2 * stats.t.sf(2 * np.sqrt(3), 2))
    assert np.isnan(paired_p([0.3], [0.2]))
    assert np.isnan(paired_p(BASE, BASE))


def test_gain() -> None:
    assert gain([0.12, 0.10], [0.10, 0.10]) == pytest.approx(10)
    assert np.isnan(gain([1.0], [0.0]))


def test_interval_of_a_gain() -> None:
    """Differences 1, 2, 3 have half width 4.302653 / sqrt(3); the baseline's mean is 2."""
    assert gain_half([2, 4, 6], [1, 2, 3]) == pytest.approx(50 * 4.302653 / np.sqrt(3), rel=1e-6)
    difference = np.subtract(OURS, BASE)
    low, high = stats.t.interval(0.95, 4, loc=difference.mean(), scale=stats.sem(difference))
    assert gain_half(OURS, BASE) == pytest.approx(100 * (high - low) / 2 / np.mean(BASE))
    assert np.isnan(gain_half([0.3], [0.2]))
    assert np.isnan(gain_half([0.1, 0.2], [0.0, 0.0]))
    assert np.isnan(gain_half(BASE, BASE))


def test_seeds_that_both_have_are_compared() -> None:
    """Seeds are paired by number, whatever their order; a seed that one side lacks is left out."""
    ours, baseline = dict(enumerate(OURS)), dict(reversed(list(enumerate(BASE))))
    found = compare_seeds({9: 5.0, **ours}, {**baseline, 8: 7.0})
    assert found.seeds == (0, 1, 2, 3, 4)
    assert (found.mean, found.baseline) == (np.mean(OURS), np.mean(BASE))
    assert (found.gain, found.half) == (gain(OURS, BASE), gain_half(OURS, BASE))
    assert found.p == paired_p(OURS, BASE)
    alone = compare_seeds({1: 0.3}, {1: 0.2})
    assert (alone.seeds, alone.gain) == ((1,), pytest.approx(50))
    assert np.isnan([alone.half, alone.p]).all()
    nothing = compare_seeds({1: 0.3}, {2: 0.2})
    assert nothing.seeds == ()
    assert np.isnan([nothing.mean, nothing.baseline, nothing.gain, nothing.half, nothing.p]).all()


def test_holm_by_hand() -> None:
    """Sorted .005, .01, .03, .04 times 4, 3, 2, 1 is .02, .03, .06, .04; the last may not fall below."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    corrected = holm([0.02, float("nan"), 0.9])
    assert corrected[[0, 2]] == pytest.approx([0.04, 0.9])
    assert np.isnan(corrected[1])
    assert holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_stays_a_probability(p_values: list[float]) -> None:
    given_p, corrected = np.array(p_values), holm(p_values)
    assert (corrected >= given_p).all()
    assert (corrected <= 1).all()
    assert (np.diff(corrected[np.argsort(given_p, kind="stable")]) >= 0).all()
    assert corrected.min() <= min(1, len(p_values) * given_p.min()) + 1e-12
