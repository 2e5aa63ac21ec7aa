"""Prediction sets: they hold the truth as often as they say, and grow with the promise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import CLASSES
from ml.calibrate import softmax
from ml.conformal import Conformal, fit_conformal, measure_conformal


def world(seed: int, count: int, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures whose probabilities lean towards the truth, some badly calibrated on purpose."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=count, p=[0.2, 0.3, 0.5])
    scores = rng.normal(0.0, 1.5, (count, 3)) + np.eye(3)[labels] * sharpness
    return softmax(scores * 1.7), labels


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), coverage=st.sampled_from([0.8, 0.9, 0.95]))
def test_each_class_is_covered_as_promised(seed: int, coverage: float) -> None:
    """Over many draws the mean coverage of a class is at least what was promised."""
    held: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for draw in range(12):
        chances, labels = world(seed * 100 + draw, 1600)
        sets = fit_conformal(chances[:800], labels[:800], coverage).contains(chances[800:])
        for number in held:
            own = labels[800:] == number
            held[number].append(sets[own, number].mean())
    for number, shares in held.items():
        # twelve draws of some 160 to 400 pictures: the mean wanders by about a hundredth
        assert np.mean(shares) > coverage - 0.03, CLASSES[number]
        assert np.mean(shares) < coverage + 0.04, CLASSES[number]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    low=st.floats(0.5, 0.97),
    step=st.floats(0.0, 0.02),
    count=st.integers(1, 300),
)
def test_more_coverage_never_shrinks_a_set(seed: int, low: float, step: float, count: int) -> None:
    chances, labels = world(seed, count)
    smaller = fit_conformal(chances, labels, low).contains(chances)
    larger = fit_conformal(chances, labels, low + step).contains(chances)
    assert not (smaller & ~larger).any()


def test_the_fitted_pictures_themselves_are_covered() -> None:
    chances, labels = world(3, 2000)
    report = measure_conformal(fit_conformal(chances, labels), chances, labels)
    assert all(share >= 0.9 for share in report["coverage_by_class"].values())
    assert report["certain"] + report["empty"] + report["several"] == pytest.approx(1, abs=1e-3)
    assert report["accuracy_of_certain"] > report["accuracy_of_uncertain"]


def test_a_class_hardly_seen_is_never_ruled_out() -> None:
    chances, labels = world(4, 500)
    few = np.flatnonzero(labels != 0).tolist() + np.flatnonzero(labels == 0)[:5].tolist()
    conformal = fit_conformal(chances[few], labels[few])
    assert conformal.thresholds[0] == 0.0
    assert conformal.contains(chances)[:, 0].all()


def test_an_answer_is_certain_only_when_one_class_is_left() -> None:
    conformal = Conformal(0.9, (0.3, 0.4, 0.2), (10, 10, 10))
    clear = {"covid": 0.9, "pneumonia": 0.05, "normal": 0.05}
    torn = {"covid": 0.35, "pneumonia": 0.1, "normal": 0.55}
    strange = {"covid": 0.29, "pneumonia": 0.39, "normal": 0.19}
    assert conformal.prediction_set(clear) == ("covid",)
    assert conformal.prediction_set(torn) == ("normal", "covid")
    assert conformal.prediction_set(strange) == ()
    assert [conformal.uncertain(one) for one in (clear, torn, strange)] == [False, True, True]


def test_it_survives_being_written_down() -> None:
    chances, labels = world(5, 400)
    conformal = fit_conformal(chances, labels)
    assert Conformal.from_json(json.loads(json.dumps(conformal.to_json()))) == conformal


def test_nonsense_is_refused() -> None:
    chances, labels = world(6, 50)
    for coverage in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match="coverage"):
            fit_conformal(chances, labels, coverage)
    content = fit_conformal(chances, labels).to_json()
    with pytest.raises(ValueError, match="range"):
        Conformal.from_json(content | {"coverage": 2})
    with pytest.raises(KeyError):
        Conformal.from_json(content | {"thresholds": {}})
