"""The figures of an evaluation, with bootstrap intervals, in plain numpy.

Everything is computed from row weights, so that a bootstrap resample is nothing but another set of
weights, and a thousand of them one matrix. Resampling is by group: pictures of one patient stand
or fall together.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ml import CLASSES

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

PAIRS: Final = (("covid", "normal"), ("covid", "pneumonia"), ("pneumonia", "normal"))
ECE_BINS: Final = 15
CHUNK: Final = 4_000_000
"""How many weights are held at once."""
DIGITS: Final = 4
ROC_POINTS: Final = 40
"""A curve is kept with so many points at most; it is off by 2 / ROC_POINTS at the very worst."""


def score_all(
    probabilities: Array, labels: Labels, groups: npt.ArrayLike, resamples: int, seed: int
) -> dict[str, Any]:
    """Every figure and its 95 % interval.

    :param probabilities: (n, 3), rows sum to 1.
    :param labels: (n,) class numbers.
    :param groups: (n,) anything hashable by numpy; equal values are resampled together.
    :returns: see ``ml.evaluate``; None where a figure is undefined.
    """
    everything = np.ones((1, len(labels)))
    point = {
        name: values[0] for name, values in _figures(probabilities, labels, everything).items()
    }
    drawn: dict[str, list[Array]] = {name: [] for name in point}
    for weights in _resamples(groups, resamples, seed):
        for name, values in _figures(probabilities, labels, weights).items():
            drawn[name].append(values)
    spread = {name: np.concatenate(values) for name, values in drawn.items()}

    def entry(name: str, key: str) -> dict[str, Any]:
        return {key: _rounded(point[name]), f"{key}_ci": _interval(spread[name], point[name])}

    result: dict[str, Any] = {"n": len(labels)}
    for name in ("accuracy", "macro_f1", "ece"):
        result |= entry(name, name)
    guessed = probabilities.argmax(axis=1)
    result["classes"] = list(CLASSES)
    result["confusion"] = _confusion(guessed, labels, everything)[0].astype(int).tolist()
    result["per_class"] = {
        label: {"n": int((labels == number).sum())}
        | entry(f"auc:{label}", "auc")
        | entry(f"sensitivity:{label}", "sensitivity")
        | entry(f"specificity:{label}", "specificity")
        | entry(f"f1:{label}", "f1")
        for number, label in enumerate(CLASSES)
    }
    result["pairs"] = {
        f"{first}_{second}": entry(f"auc:{first}_{second}", "auc") for first, second in PAIRS
    }
    return result


def auc(scores: Array, positive: npt.NDArray[np.bool_], weights: Array) -> Array:
    """Area under the ROC curve for each set of weights; ties count half.

    :param scores: (n,), higher speaks for positive.
    :param positive: (n,) the truth.
    :param weights: (b, n).
    :returns: (b,), nan where one of the two sides has no weight.
    """
    order = np.argsort(scores, kind="stable")
    ranked, truth, weights = scores[order], positive[order], weights[:, order]
    _, starts = np.unique(ranked, return_index=True)
    if len(starts) == 0:
        return np.full(len(weights), np.nan)
    plus = np.add.reduceat(weights * truth, starts, axis=1)
    minus = np.add.reduceat(weights * ~truth, starts, axis=1)
    below = np.cumsum(minus, axis=1) - 0.5 * minus
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Array = (plus * below).sum(axis=1) / (plus.sum(axis=1) * minus.sum(axis=1))
    return area


def roc_points(probabilities: Array, labels: Labels) -> dict[str, dict[str, list[float]] | None]:
    """Each class's ROC curve against the other two, thinned so that its shape stays.

    :returns: by class ``false_positive`` and ``true_positive``, both rising from 0 to 1; None for
        a class that has no picture, or nothing else beside it.
    """
    return {
        label: _curve(probabilities[:, number], labels == number)
        for number, label in enumerate(CLASSES)
    }


def reliability_bins(probabilities: Array, labels: Labels) -> list[dict[str, float]]:
    """How often answers of a given certainty are right: the bins behind ``ece``, filled ones only.

    :returns: ``low`` and ``high`` (of the bin), ``n``, ``confidence`` (mean) and ``accuracy``.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return [
        {
            "low": round(number / ECE_BINS, DIGITS),
            "high": round((number + 1) / ECE_BINS, DIGITS),
            "n": int((bins == number).sum()),
            "confidence": round(float(confidence[bins == number].mean()), DIGITS),
            "accuracy": round(float(right[bins == number].mean()), DIGITS),
        }
        for number in sorted(set(bins.tolist()))
    ]


def _curve(scores: Array, positive: npt.NDArray[np.bool_]) -> dict[str, list[float]] | None:
    if positive.all() or not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ranked, truth = scores[order], positive[order]
    # one point after each group of equal scores, for within it nothing can be told apart
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = np.append(0.0, np.cumsum(truth)[last] / truth.sum())
    alarms = np.append(0.0, np.cumsum(~truth)[last] / (~truth).sum())
    if len(hits) > ROC_POINTS:
        along = hits + alarms  # rises from 0 to 2
        kept = np.unique(np.searchsorted(along, np.linspace(0.0, 2.0, ROC_POINTS) - 1e-9))
        hits, alarms = hits[kept], alarms[kept]
    return {
        "false_positive": [round(value, DIGITS) for value in alarms.tolist()],
        "true_positive": [round(value, DIGITS) for value in hits.tolist()],
    }


def _figures(probabilities: Array, labels: Labels, weights: Array) -> dict[str, Array]:
    guessed = probabilities.argmax(axis=1)
    table = _confusion(guessed, labels, weights)
    total = table.sum(axis=(1, 2))
    hits = np.einsum("bii->bi", table)
    real, called = table.sum(axis=2), table.sum(axis=1)
    figures: dict[str, Array] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        figures["accuracy"] = hits.sum(axis=1) / total
        f1 = 2 * hits / (real + called)
        # a class that does not occur has no say in the mean
        figures["macro_f1"] = np.nanmean(np.where(real > 0, f1, np.nan), axis=1)
        for number, label in enumerate(CLASSES):
            others = total - real[:, number]
            rejected = others - (called[:, number] - hits[:, number])
            figures[f"sensitivity:{label}"] = hits[:, number] / real[:, number]
            figures[f"specificity:{label}"] = rejected / others
            figures[f"f1:{label}"] = np.where(real[:, number] > 0, f1[:, number], np.nan)
    figures["ece"] = _ece(probabilities, guessed == labels, weights)
    for number, label in enumerate(CLASSES):
        figures[f"auc:{label}"] = auc(probabilities[:, number], labels == number, weights)
    for first, second in PAIRS:
        one, two = CLASSES.index(first), CLASSES.index(second)
        rows = (labels == one) | (labels == two)
        share = probabilities[rows, one] / (probabilities[rows, one] + probabilities[rows, two])
        figures[f"auc:{first}_{second}"] = auc(share, labels[rows] == one, weights[:, rows])
    return figures


def _confusion(guessed: Labels, labels: Labels, weights: Array) -> Array:
    """(b, 3, 3): truth by row, answer by column."""
    cells = np.eye(len(CLASSES) ** 2)[labels * len(CLASSES) + guessed]
    table: Array = (weights @ cells).reshape(len(weights), len(CLASSES), len(CLASSES))
    return table


def _ece(probabilities: Array, right: npt.NDArray[np.bool_], weights: Array) -> Array:
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = weights @ (np.eye(ECE_BINS)[bins] * (confidence - right)[:, None])
    error: Array = np.abs(gaps).sum(axis=1) / weights.sum(axis=1)
    return error


def _resamples(groups: npt.ArrayLike, resamples: int, seed: int) -> Any:
    """Weights of the resampled rows, in chunks of (b, n)."""
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    count = int(member.max()) + 1
    rng = np.random.default_rng(seed)
    size = max(1, CHUNK // len(member))
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = rng.integers(count, size=(rows, count))
        flat = (drawn + np.arange(rows)[:, None] * count).ravel()
        times = np.bincount(flat, minlength=rows * count).reshape(rows, count)
        yield times[:, member].astype(np.float64)


def _rounded(value: float) -> float | None:
    return round(float(value), DIGITS) if np.isfinite(value) else None


def _interval(values: Array, point: float) -> list[float] | None:
    known = values[np.isfinite(values)]
    if not np.isfinite(point) or len(known) == 0:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return [round(float(low), DIGITS), round(float(high), DIGITS)]
