"""Operating points: the asked sensitivity is reached, at least cost, and said with intervals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.calibrate import softmax
from ml.operating import OperatingPoint, RocTable, fit_roc, wilson


def world(seed: int, count: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1, 2], rng.integers(0, 3, count)])
    chances = softmax(rng.normal(0.0, 1.0, (len(labels), 3)) + np.eye(3)[labels] * 1.5)
    return (np.round(chances, 1) if ties else chances), labels


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 120),
    ties=st.booleans(),
    wanted=st.floats(0.05, 1.0),
)
def test_the_point_is_the_highest_that_reaches_the_sensitivity(
    seed: int, count: int, ties: bool, wanted: float
) -> None:
    chances, labels = world(seed, count, ties)
    point = fit_roc(chances, labels, "covid").choose(wanted)
    called, own = chances[:, 0] >= point.threshold, labels == 0
    assert point.sensitivity == called[own].mean() >= wanted - 1e-9
    assert point.specificity == (~called[~own]).mean()
    higher = np.unique(chances[chances[:, 0] > point.threshold, 0])
    assert all((chances[own, 0] >= other).mean() < wanted for other in higher)
    assert point.sensitivity_ci[0] <= point.sensitivity <= point.sensitivity_ci[1]
    assert point.specificity_ci[0] <= point.specificity <= point.specificity_ci[1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.booleans(), threshold=st.floats(0.0, 1.0))
def test_any_other_threshold_is_never_flattered(seed: int, ties: bool, threshold: float) -> None:
    chances, labels = world(seed, 80, ties)
    table = fit_roc(chances, labels, "normal")
    point = table.at(threshold)
    called, own = chances[:, 2] >= threshold, labels == 2
    assert point.sensitivity == called[own].mean()
    assert point.specificity <= (~called[~own]).mean()
    assert table.at(table.choose(0.8).threshold) == table.choose(0.8)


def test_a_probability_at_the_threshold_calls() -> None:
    point = OperatingPoint("covid", 0.4, 0.9, (0.8, 0.95), 0.9, (0.8, 0.95), 50, 90)
    assert point.calls({"covid": 0.4, "pneumonia": 0.5, "normal": 0.1})
    assert not point.calls({"covid": 0.39, "pneumonia": 0.5, "normal": 0.11})


def test_predictive_values_follow_prevalence() -> None:
    point = OperatingPoint("covid", 0.4, 0.9, (0.8, 1.0), 0.8, (0.7, 0.9), 50, 90)
    ppv, npv = point.predictive_values(0.1)
    assert ppv == pytest.approx(0.09 / 0.27)
    assert npv == pytest.approx(0.72 / 0.73)
    assert point.predictive_values(0.0) == (0.0, 1.0)
    assert point.predictive_values(1.0) == (1.0, 0.0)
    with pytest.raises(ValueError, match="prevalence"):
        point.predictive_values(1.2)


def test_intervals_by_the_book() -> None:
    """Newcombe 1998, table I: 81 of 263 and 15 of 148, Wilson's method without correction."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(0, 0) == (0.0, 1.0)


def test_it_survives_being_written_down() -> None:
    table = fit_roc(*world(1, 100, False), "pneumonia")
    assert RocTable.from_json(json.loads(json.dumps(table.to_json()))) == table
    json.dumps(table.choose().to_json())


def test_nonsense_is_refused() -> None:
    chances, labels = world(2, 30, False)
    table = fit_roc(chances, labels, "covid")
    for sensitivity in (0.0, 1.1):
        with pytest.raises(ValueError, match="sensitivity"):
            table.choose(sensitivity)
    with pytest.raises(ValueError, match="with and without"):
        fit_roc(chances, np.zeros_like(labels), "covid")
    for wrong in ({"label": "cold"}, {"hits": []}, {"negatives": 0}, {"positives": 10_000}):
        with pytest.raises(ValueError, match="table"):
            RocTable.from_json(table.to_json() | wrong)


@given(st.integers(0, 2**31), st.floats(0.01, 1.0))
def test_a_specificity_is_reached_with_the_lowest_threshold_that_does(
    seed: int, wanted: float
) -> None:
    """Against all thresholds of the table, one by one."""
    table = fit_roc(*world(seed, 60, False), "covid")
    reaching = [
        threshold
        for threshold, false_calls in zip(table.thresholds, table.false_calls, strict=True)
        if 1.0 - false_calls / table.negatives >= wanted - 1e-9
    ]
    if not reaching:
        with pytest.raises(ValueError, match="no threshold"):
            table.choose_specificity(wanted)
        return
    point = table.choose_specificity(wanted)
    assert point.threshold == min(reaching)
    assert point.specificity >= wanted - 1e-9
    assert table.at(point.threshold) == point


def test_a_specificity_out_of_range_is_refused() -> None:
    table = fit_roc(*world(2, 30, False), "covid")
    for specificity in (0.0, 1.1):
        with pytest.raises(ValueError, match="specificity"):
            table.choose_specificity(specificity)
