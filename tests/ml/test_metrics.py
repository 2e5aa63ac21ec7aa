"""Figures against their definitions, worked out the slow way."""

from __future__ import annotations

import numpy as np
import pytest

from ml import CLASSES
from ml.metrics import ECE_BINS, PAIRS, ROC_POINTS, auc, reliability_bins, roc_points, score_all


def some(count: int = 240, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    scores = np.round(rng.dirichlet([1, 1, 1], count) + np.eye(3)[labels] * 0.4, 1) + 0.01
    return scores / scores.sum(axis=1, keepdims=True), labels, rng.integers(count // 3, size=count)


def slow_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    plus, minus = scores[positive], scores[~positive]
    wins = (plus[:, None] > minus[None]).sum() + 0.5 * (plus[:, None] == minus[None]).sum()
    return float(wins / (len(plus) * len(minus)))


@pytest.mark.parametrize("seed", range(5))
def test_auc_counts_pairs_with_ties_as_half(seed: int) -> None:
    chances, labels, _ = some(seed=seed)
    weights = np.ones((1, len(labels)))
    for number in range(3):
        found = auc(chances[:, number], labels == number, weights)[0]
        assert found == pytest.approx(slow_auc(chances[:, number], labels == number), abs=1e-12)


def test_auc_with_weights_is_auc_of_repeated_rows() -> None:
    chances, labels, _ = some(60)
    times = np.random.default_rng(1).integers(0, 4, 60)
    rows = np.repeat(np.arange(60), times)
    found = auc(chances[:, 0], labels == 0, times[None].astype(float))[0]
    assert found == pytest.approx(slow_auc(chances[rows, 0], labels[rows] == 0), abs=1e-12)


def test_one_class_alone_has_no_auc() -> None:
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([True, True]), np.ones((1, 2)))[0])


def test_every_figure_by_its_definition() -> None:
    chances, labels, groups = some()
    result = score_all(chances, labels, groups, 50, seed=1)
    guessed = chances.argmax(axis=1)
    assert result["n"] == 240
    assert result["accuracy"] == pytest.approx((guessed == labels).mean(), abs=1e-4)
    scores = []
    for number, label in enumerate(CLASSES):
        real, called = labels == number, guessed == number
        hits = (real & called).sum()
        part = result["per_class"][label]
        assert part["n"] == real.sum()
        assert part["sensitivity"] == pytest.approx(hits / real.sum(), abs=1e-4)
        assert part["specificity"] == pytest.approx(
            (~real & ~called).sum() / (~real).sum(), abs=1e-4
        )
        scores.append(2 * hits / (real.sum() + called.sum()))
        assert part["f1"] == pytest.approx(scores[-1], abs=1e-4)
        assert part["auc"] == pytest.approx(slow_auc(chances[:, number], real), abs=1e-4)
        for other in range(3):
            count = (real & (guessed == other)).sum()
            assert result["confusion"][number][other] == count
    assert result["macro_f1"] == pytest.approx(np.mean(scores), abs=1e-4)
    for first, second in PAIRS:
        one, two = CLASSES.index(first), CLASSES.index(second)
        rows = np.isin(labels, (one, two))
        share = chances[rows, one] / (chances[rows, one] + chances[rows, two])
        expected = slow_auc(share, labels[rows] == one)
        assert result["pairs"][f"{first}_{second}"]["auc"] == pytest.approx(expected, abs=1e-4)


def test_intervals_hold_the_figure_and_repeat() -> None:
    result = score_all(*some(), 400, seed=1)
    assert result == score_all(*some(), 400, seed=1)
    for name in ("accuracy", "macro_f1"):
        low, high = result[f"{name}_ci"]
        assert low < result[name] < high
    for part in result["per_class"].values():
        for name in ("auc", "sensitivity", "specificity", "f1"):
            low, high = part[f"{name}_ci"]
            assert low <= part[name] <= high


def test_groups_widen_the_interval() -> None:
    chances, labels, _ = some(60)
    many, kinds = np.repeat(chances, 10, axis=0), np.repeat(labels, 10)
    alone = score_all(many, kinds, np.arange(600), 400, seed=1)["accuracy_ci"]
    tied = score_all(many, kinds, np.repeat(np.arange(60), 10), 400, seed=1)["accuracy_ci"]
    assert tied[1] - tied[0] > 2 * (alone[1] - alone[0])


def test_what_is_undefined_is_none() -> None:
    chances, labels, groups = some()
    only = labels == 0
    result = score_all(chances[only], labels[only], groups[only], 20, seed=1)
    assert result["per_class"]["covid"]["auc"] is None
    assert result["per_class"]["covid"]["auc_ci"] is None
    assert result["per_class"]["covid"]["specificity"] is None
    assert result["per_class"]["normal"]["sensitivity"] is None
    assert result["pairs"]["pneumonia_normal"]["auc"] is None
    assert result["accuracy"] is not None


@pytest.mark.parametrize("count", [30, 3000])
def test_the_curve_holds_the_area_however_thin(count: int) -> None:
    chances, labels, _ = some(count, seed=4)
    for number, label in enumerate(CLASSES):
        curve = roc_points(chances, labels)[label]
        assert curve is not None
        alarms, hits = np.array(curve["false_positive"]), np.array(curve["true_positive"])
        assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)
        assert (np.diff(alarms) >= 0).all()
        assert (np.diff(hits) >= 0).all()
        assert len(alarms) <= ROC_POINTS
        area = float((np.diff(alarms) * (hits[1:] + hits[:-1]) / 2).sum())
        assert area == pytest.approx(slow_auc(chances[:, number], labels == number), abs=0.01)


def test_a_curve_needs_both_sides() -> None:
    chances, labels, _ = some()
    assert set(roc_points(chances[labels == 0], labels[labels == 0]).values()) == {None}


def test_reliability_is_what_the_calibration_error_is_made_of() -> None:
    chances, labels, groups = some()
    bins = reliability_bins(chances, labels)
    assert sum(one["n"] for one in bins) == len(labels)
    for one in bins:
        assert one["high"] - one["low"] == pytest.approx(1 / ECE_BINS, abs=1e-3)
        assert one["low"] - 1e-3 <= one["confidence"] <= one["high"] + 1e-3
    gap = sum(one["n"] * abs(one["confidence"] - one["accuracy"]) for one in bins) / len(labels)
    assert gap == pytest.approx(score_all(chances, labels, groups, 5, seed=1)["ece"], abs=1e-3)
