"""Calibration: from the network's logits to probabilities that can be taken at their word.

One temperature and one bias a class, fitted on the selection split by log loss. The fit is a convex
problem in four numbers, solved by Newton's method in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ml import CLASSES

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

RIDGE: Final = 1e-3
"""Pulls the biases towards nought, so that a class with few pictures moves little."""
ECE_BINS: Final = 15


@dataclass(frozen=True, slots=True)
class Calibration:
    """``softmax(logits / temperature + bias)``."""

    temperature: float = 1.0
    bias: tuple[float, ...] = (0.0,) * len(CLASSES)

    def probabilities(self, logits: npt.ArrayLike) -> Array:
        """Calibrated probabilities, (..., 3) float64, for logits (..., 3)."""
        return softmax(np.asarray(logits, dtype=np.float64) / self.temperature + self.bias)


def softmax(scores: Array) -> Array:
    """Probabilities along the last axis."""
    raised: Array = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Array = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def fit_calibration(logits: npt.ArrayLike, labels: Labels, iterations: int = 60) -> Calibration:
    """Fit temperature and biases.

    :param logits: (n, 3).
    :param labels: (n,) class numbers.
    """
    given = np.asarray(logits, dtype=np.float64)
    count, classes = given.shape
    wanted = np.eye(classes)[labels]
    # parameters: the inverse temperature, then one bias a class
    design = np.concatenate([given[:, :, None], np.tile(np.eye(classes), (count, 1, 1))], axis=2)
    parameters = np.zeros(classes + 1)
    parameters[0] = 1.0 / max(1.0, float(given.std()))
    penalty = np.full(classes + 1, RIDGE)
    penalty[0] = 1e-9

    def cost(candidate: Array) -> float:
        return log_loss(softmax(design @ candidate), labels) + 0.5 * float(penalty @ candidate**2)

    for _ in range(iterations):
        guessed = softmax(design @ parameters)
        gradient = np.einsum("nk,nkp->p", guessed - wanted, design) / count + penalty * parameters
        weighted = design * guessed[:, :, None]
        mean = weighted.sum(axis=1)
        curvature = (np.einsum("nkp,nkq->pq", weighted, design) - mean.T @ mean) / count
        step = np.linalg.solve(curvature + np.diag(penalty), gradient)
        # a full step can overshoot where the probabilities are nearly certain
        length, now = 1.0, cost(parameters)
        while length > 1e-6 and cost(parameters - length * step) > now:
            length /= 2
        parameters -= length * step
        # the temperature must stay a temperature
        parameters[0] = np.clip(parameters[0], 0.01, 100.0)
        if np.abs(length * step).max() < 1e-10:
            break
    bias = parameters[1:] - parameters[1:].mean()
    return Calibration(float(1.0 / parameters[0]), tuple(float(value) for value in bias))


def log_loss(probabilities: Array, labels: Labels) -> float:
    """Mean negative log probability of the truth, in nats."""
    picked = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(picked, 1e-12, 1.0)).mean())


def calibration_error(probabilities: Array, labels: Labels) -> float:
    """Expected calibration error of the top class, over 15 bins of equal width."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gap = np.bincount(bins, weights=confidence - right, minlength=ECE_BINS)
    return float(np.abs(gap).sum() / len(labels))
