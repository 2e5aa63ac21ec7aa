"""Calibration: probabilities remain probabilities, and come to mean what they say."""

from __future__ import annotations

import numpy as np
import pytest

from ml.calibrate import Calibration, calibration_error, fit_calibration, log_loss, softmax


def drawn(count: int = 20000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from exactly the probabilities they mean."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 3))
    chances = softmax(logits)
    labels = (chances.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return logits, labels


def test_right_logits_are_left_alone() -> None:
    found = fit_calibration(*drawn())
    assert found.temperature == pytest.approx(1.0, abs=0.03)
    assert np.abs(found.bias).max() < 0.05


def test_a_hidden_temperature_and_bias_are_found() -> None:
    logits, labels = drawn()
    distorted = (logits - np.array([0.8, -0.3, -0.5])) * 2.5
    found = fit_calibration(distorted, labels)
    assert found.temperature == pytest.approx(2.5, abs=0.08)
    assert np.allclose(found.bias, [0.8, -0.3, -0.5], atol=0.06)
    before, after = Calibration().probabilities(distorted), found.probabilities(distorted)
    assert log_loss(after, labels) < log_loss(before, labels)
    assert calibration_error(after, labels) < 0.02 < calibration_error(before, labels)


def test_probabilities_sum_to_one_even_for_wild_logits() -> None:
    wild = Calibration(0.3, (0.5, 0.0, -0.5)).probabilities([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]])
    assert np.allclose(wild.sum(axis=1), 1.0)
    assert np.isfinite(wild).all()


def test_the_temperature_alone_never_changes_the_class() -> None:
    logits, _ = drawn(500)
    for temperature in (0.2, 1.0, 7.0):
        cooled = Calibration(temperature).probabilities(logits)
        assert np.array_equal(cooled.argmax(axis=1), logits.argmax(axis=1))


def test_calibration_error_by_hand() -> None:
    chances = np.array([[0.9, 0.1, 0.0]] * 4 + [[0.6, 0.4, 0.0]] * 4)
    labels = np.array([0, 0, 0, 1, 0, 0, 1, 1])
    # |0.9 - 0.75| and |0.6 - 0.5|, half the rows each
    assert calibration_error(chances, labels) == pytest.approx(0.125)


def test_perfectly_separated_classes_do_not_break_the_fit() -> None:
    logits = np.eye(3)[np.arange(30) % 3] * 5
    found = fit_calibration(logits, np.arange(30) % 3)
    assert 0 < found.temperature < 10
    assert np.isfinite(found.bias).all()
