"""Curve, area and shares against published examples and against counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screening.governance.reliability import reliability_of
from screening.governance.roc import (
    Cases,
    Counts,
    area_of,
    auc_variance,
    counts_at,
    curve_of,
)


def cases(own: list[float], others: list[float]) -> Cases:
    """Each case is a patient of its own."""
    scores = np.array([*own, *others])
    positive = np.array([True] * len(own) + [False] * len(others))
    return Cases(scores, positive, np.arange(len(scores)))


scores = st.floats(0.0, 1.0).map(lambda value: round(value, 2))
two_sides = st.builds(
    cases, st.lists(scores, min_size=1, max_size=40), st.lists(scores, min_size=1, max_size=40)
)


def test_delong_by_the_book() -> None:
    """Hanley & McNeil 1982, table I: 109 CT images on a scale of five. Stata's manual (roctab)
    gives 0.8932, standard error 0.0307 by DeLong, interval 0.83295 to 0.95339."""
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    ratings = np.arange(1.0, 6.0)
    read = np.concatenate([np.repeat(ratings, abnormal), np.repeat(ratings, normal)])
    truth = np.arange(109) < 51
    value, variance = auc_variance(read, truth)
    assert value == pytest.approx(0.8932, abs=5e-5)
    assert math.sqrt(variance) == pytest.approx(0.0307, abs=5e-5)
    assert value - 1.959964 * math.sqrt(variance) == pytest.approx(0.83295, abs=2e-5)
    assert value + 1.959964 * math.sqrt(variance) == pytest.approx(0.95339, abs=2e-5)


def test_a_small_area_by_hand() -> None:
    """Pairs won: 0.9 beats all three, 0.5 beats two and ties with one, 0.2 beats one."""
    area = area_of(cases([0.9, 0.5, 0.2], [0.5, 0.3, 0.1]))
    assert area.value == pytest.approx((3 + 2.5 + 1) / 9)


@settings(max_examples=100, deadline=None)
@given(two_sides)
def test_the_area_is_the_share_of_pairs_in_order(found: Cases) -> None:
    own, others = found.scores[found.positive], found.scores[~found.positive]
    won = (own[:, None] > others).sum() + 0.5 * (own[:, None] == others).sum()
    area = area_of(found)
    assert area.value == pytest.approx(won / (len(own) * len(others)))
    assert 0.0 <= area.interval[0] <= area.value + 1e-9
    assert area.value - 1e-9 <= area.interval[1] <= 1.0


@settings(max_examples=50, deadline=None)
@given(two_sides)
def test_the_variance_is_that_of_the_placements_counted_one_by_one(found: Cases) -> None:
    own, others = found.scores[found.positive], found.scores[~found.positive]
    wins = (own[:, None] > others) + 0.5 * (own[:, None] == others)
    expected = 0.0
    if len(own) > 1:
        expected += wins.mean(axis=1).var(ddof=1) / len(own)
    if len(others) > 1:
        expected += wins.mean(axis=0).var(ddof=1) / len(others)
    assert auc_variance(found.scores, found.positive)[1] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(two_sides)
def test_turning_scores_round_turns_the_area_round(found: Cases) -> None:
    turned = Cases(1.0 - found.scores, found.positive, found.groups)
    assert area_of(turned).value == pytest.approx(1.0 - area_of(found).value)


def test_sides_wholly_apart_do_not_pretend_to_certainty() -> None:
    area = area_of(cases([0.9, 0.8, 0.7], [0.1, 0.2]))
    assert area.value == 1.0
    assert area.interval[0] < 0.5
    wide = area_of(cases([0.9] * 200, [0.1] * 200))
    assert wide.interval[0] > 0.97


@settings(max_examples=80, deadline=None)
@given(two_sides)
def test_the_curve_counts_as_the_threshold_does(found: Cases) -> None:
    curve = curve_of(found)
    for number, threshold in enumerate(curve.thresholds.tolist()):
        assert curve.counts(number) == counts_at(found, threshold)
    points = curve.points()
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (1.0, 1.0)
    assert points == sorted(points)


def test_shares_by_hand() -> None:
    counts = Counts(hits=8, misses=2, false_calls=4, rejected=16)
    assert counts.sensitivity == 0.8
    assert counts.specificity == 0.8
    assert counts.ppv == pytest.approx(8 / 12)
    assert counts.npv == pytest.approx(16 / 18)
    assert counts.called == 12
    assert counts.figures().sensitivity_ci == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_where_nothing_is_called_nothing_is_known_of_it() -> None:
    counts = counts_at(cases([0.5], [0.4]), 0.9)
    assert counts.ppv is None
    assert counts.figures().ppv_ci is None
    assert counts.figures(0.1).ppv is None
    assert counts.figures(0.1).npv == pytest.approx(0.9)
    assert counts.npv == 0.5


def test_a_curve_needs_both_sides() -> None:
    for own, others in (([0.5], []), ([], [0.5])):
        with pytest.raises(ValueError, match="positive and negative"):
            curve_of(cases(own, others))
        with pytest.raises(ValueError, match="positive and negative"):
            area_of(cases(own, others))
    with pytest.raises(ValueError, match="length"):
        Cases(np.zeros(2), np.zeros(3, dtype=bool), np.arange(2))


def test_reliability_by_hand() -> None:
    found = reliability_of(cases([0.95, 0.85, 0.35], [0.05, 0.15, 0.35, 0.95]))
    assert [(one.low, one.cases, one.positives) for one in found.bins] == [
        (0.0, 1, 0),
        (0.1, 1, 0),
        (0.3, 2, 1),
        (0.8, 1, 1),
        (0.9, 2, 1),
    ]
    # gaps: 0.05, 0.15, 2 × 0.15, 0.15, 2 × 0.45
    assert found.ece == pytest.approx((0.05 + 0.15 + 0.3 + 0.15 + 0.9) / 7)
    squares = (0.05**2, 0.15**2, 0.65**2, 0.05**2, 0.15**2, 0.35**2, 0.95**2)
    assert found.brier == pytest.approx(sum(squares) / 7)
    assert found.brier_of_prevalence == pytest.approx(3 / 7 * 4 / 7)
    assert found.bins[2].observed_ci[0] < 0.5 < found.bins[2].observed_ci[1]


@settings(max_examples=60, deadline=None)
@given(two_sides)
def test_reliability_loses_no_case(found: Cases) -> None:
    made = reliability_of(found)
    assert sum(one.cases for one in made.bins) == len(found.scores)
    assert sum(one.positives for one in made.bins) == found.positives
    assert 0.0 <= made.ece <= 1.0
    assert all(one.low - 1e-9 <= one.predicted <= one.high + 1e-9 for one in made.bins)


shares = st.floats(0.02, 0.98)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), shares)
def test_predictive_values_follow_prevalence(
    hits: int, misses: int, false_calls: int, rejected: int, prevalence: float
) -> None:
    """At the cases' own prevalence they are the counted ones; the rarer, the lower the PPV."""
    counts = Counts(hits, misses, false_calls, rejected)
    if not counts.positives or not counts.negatives:
        return
    own = counts.positives / (counts.positives + counts.negatives)
    assert counts.figures(own).ppv == pytest.approx(counts.ppv)
    assert counts.figures(own).npv == pytest.approx(counts.npv)
    here, rarer = counts.figures(prevalence), counts.figures(prevalence / 2)
    for value, bounds in ((here.ppv, here.ppv_ci), (here.npv, here.npv_ci)):
        if value is not None and bounds is not None:
            assert 0.0 <= bounds[0] <= value <= bounds[1] <= 1.0
    if here.ppv is not None and rarer.ppv is not None:
        assert rarer.ppv <= here.ppv + 1e-12
    if here.npv is not None and rarer.npv is not None:
        assert rarer.npv >= here.npv - 1e-12


def test_predictive_intervals_hold_what_they_promise() -> None:
    """Of many small studies about 95 of 100 intervals hold the true values, at 5 % prevalence."""
    rng = np.random.default_rng(8)
    true_ppv = 0.85 * 0.05 / (0.85 * 0.05 + 0.1 * 0.95)
    true_npv = 0.9 * 0.95 / (0.9 * 0.95 + 0.15 * 0.05)
    held = {"ppv": 0, "npv": 0}
    for _ in range(1000):
        hits, kept = int(rng.binomial(60, 0.85)), int(rng.binomial(80, 0.9))
        figures = Counts(hits, 60 - hits, 80 - kept, kept).figures(0.05)
        for name, true in (("ppv", true_ppv), ("npv", true_npv)):
            low, high = getattr(figures, f"{name}_ci")
            held[name] += low <= true <= high
    assert 930 <= held["ppv"] <= 980
    assert 930 <= held["npv"] <= 980
