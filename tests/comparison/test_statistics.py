"""Intervals: by hand, against tables, against SciPy."""

from __future__ import annotations

import math

import pytest

from glassnet.comparison.statistics import (
    chance_of_a_fluke,
    difference,
    interval,
    seeds_needed,
    t_inside,
    t_quantile,
)


def test_a_mean_by_hand() -> None:
    # 1, 2, 3: mean 2, deviation 1, t(2) = 4.3027, divided by sqrt(3): 2.4841
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == pytest.approx(2.0)
    assert found.half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert found.n == 3


def test_closed_forms_of_small_degrees() -> None:
    # one degree is Cauchy's distribution, P(|T| < 1) = 1/2; two degrees: t / sqrt(2 + t^2)
    assert t_inside(1.0, 1) == pytest.approx(0.5)
    assert t_inside(3.0, 2) == pytest.approx(3 / math.sqrt(11))


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 29, 30, 200])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_quantiles_agree_with_scipy(freedom: int, confidence: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert t_quantile(freedom, confidence) == pytest.approx(stats.t.ppf(0.5 + confidence / 2, freedom), rel=1e-9)


def test_intervals_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    ours, theirs = [0.841, 0.846, 0.838, 0.85], [0.81, 0.82, 0.805, 0.818]
    found = difference(ours, theirs)
    low, high = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))


def test_what_both_share_drops_out_of_their_difference() -> None:
    lucky = [0.0, 0.05, 0.1]  # a seed's split makes both easier
    ours, theirs = [0.8 + luck for luck in lucky], [0.79 + luck for luck in lucky]
    assert interval(ours).half > 0.1
    assert difference(ours, theirs).half == pytest.approx(0, abs=1e-9)
    assert difference(ours, theirs).excludes_zero


def test_one_number_has_no_interval() -> None:
    found = interval([0.8])
    assert found.half is None
    assert not found.excludes_zero


def test_seeds_needed() -> None:
    # differences 1, 2, 3: t(2) = 4.303 > 2 sqrt(3), t(3) = 3.182 < 2 sqrt(4): four would do
    assert seeds_needed([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]) == 4
    assert seeds_needed([0.01, -0.01, 0.0001], [0.0, 0.0, 0.0]) is None
    assert seeds_needed([1.0], [0.0]) is None


def test_a_fluke() -> None:
    assert chance_of_a_fluke(1) == pytest.approx(0.05)
    assert chance_of_a_fluke(2) == pytest.approx(0.0975)
