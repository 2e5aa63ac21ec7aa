"""``python -m ml bench baselines``: how far one gets without looking at the lungs.

What a picture of 16 x 16 pixels, or its outer border alone, gives away is no medicine: it is age,
projection, hospital and file history. A model must be read against these figures, source by source.
Learnt on ``train``, picked on ``val``, and scored on ``test`` once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ml import CLASSES
from ml.bench.boosting import BoostedTrees, softmax
from ml.bench.cells import Cells, write_json
from ml.bench.phantoms import draw_bench_set
from ml.data import ManifestError, Row, count_cells, labels_of, load_squares, read_manifest
from ml.metrics import Array, Labels
from ml.package import hash_file
from ml.recipes.training import Report, score

SIZE: Final = 32
BORDER: Final = 3
"""Pixels of ``SIZE``, so that the border is the outermost tenth of each side."""
PENALTIES: Final = (1e-4, 1e-3, 1e-2)
STEPS: Final = 400

Squares = npt.NDArray[np.uint8]


def thumbnail(squares: Squares) -> Array:
    """The picture at 16 x 16, (n, 256) in [0, 1]."""
    half = SIZE // 2
    blocks = squares.reshape(len(squares), half, 2, half, 2).astype(np.float64)
    small: Array = blocks.mean(axis=(2, 4)).reshape(len(squares), -1) / 255.0
    return small


def border(squares: Squares) -> Array:
    """The outermost ``BORDER`` pixels of each side alone, (n, 348) in [0, 1]."""
    ring = np.ones((SIZE, SIZE), dtype=bool)
    ring[BORDER:-BORDER, BORDER:-BORDER] = False
    values: Array = squares[:, ring].astype(np.float64) / 255.0
    return values


VIEWS: Final[dict[str, Callable[[Squares], Array]]] = {
    "thumbnail_16": thumbnail,
    "border_only": border,
}


@dataclass(slots=True)
class Logistic:
    """Multinomial logistic regression by accelerated gradient descent on standardised columns."""

    penalty: float
    steps: int = STEPS
    shift: Array = field(default_factory=lambda: np.zeros(0))
    scale: Array = field(default_factory=lambda: np.ones(0))
    weights: Array = field(default_factory=lambda: np.zeros((0, 0)))

    def fit(self, x: Array, y: Labels) -> Logistic:
        """Learn from (n, features) and class numbers (n,)."""
        self.shift, self.scale = x.mean(axis=0), x.std(axis=0) + 1e-6
        inputs = self._inputs(x)
        truth = np.eye(len(CLASSES))[y]
        # the largest curvature of the loss bounds the step
        curvature = 0.5 * float(np.linalg.eigvalsh(inputs.T @ inputs / len(inputs))[-1])
        step = 1.0 / (curvature + self.penalty)
        self.weights = np.zeros((inputs.shape[1], len(CLASSES)))
        ahead = self.weights
        for number in range(self.steps):
            slope = inputs.T @ (softmax(inputs @ ahead) - truth) / len(inputs)
            moved = ahead - step * (slope + self.penalty * ahead)
            ahead = moved + number / (number + 3) * (moved - self.weights)
            self.weights = moved
        return self

    def predict(self, x: Array) -> Array:
        """Probabilities, (n, classes)."""
        return softmax(self._inputs(x) @ self.weights)

    def _inputs(self, x: Array) -> Array:
        scaled = (x - self.shift) / self.scale
        return np.concatenate([scaled, np.ones((len(x), 1))], axis=1)


def bench_baselines(
    manifest: Path,
    json_file: Path,
    out: Path,
    *,
    seed: int = 1,
    tiny: bool = False,
    report: Report = print,
) -> dict[str, Any]:
    """Score every baseline; returns, and writes, the figures of val and test.

    :raises ManifestError: when one of the three splits has no row.
    """
    if tiny:
        manifest = draw_bench_set(out / "phantoms")
    rows = [row for row in read_manifest(manifest) if row.label in CLASSES]
    splits = {name: [r for r in rows if r.split == name] for name in ("train", "val", "test")}
    splits["train"] = [r for r in splits["train"] if not r.label_conflict and not r.flag]
    if missing := [name for name, part in splits.items() if not part]:
        raise ManifestError(f"{manifest}: no row in the split {' and '.join(missing)}.")
    squares = {
        name: load_squares(part, SIZE, out / "cache" / f"baseline-{name}.npz")
        for name, part in splits.items()
    }
    cells = Cells(out / "cells")
    asked = {"manifest": hash_file(manifest), "seed": seed, "tiny": tiny}
    result: dict[str, Any] = {
        "bench": "baselines",
        **asked,
        "counts": {name: count_cells(part) for name, part in splits.items()},
        "baselines": {},
    }
    for view, look in VIEWS.items():
        seen = {name: look(part) for name, part in squares.items()}
        row: dict[str, Any] = {}
        for model, answer in (("logistic", _logistic), ("boosted_trees", _trees)):
            report(f"== {view} {model}")

            def compute(answer: _Answer = answer, seen: dict[str, Array] = seen) -> dict[str, Any]:
                answers = answer(seen, splits, seed, tiny)
                return {
                    name: score(CLASSES, answers[name], splits[name]) for name in ("val", "test")
                }

            row[model] = cells.get(f"{view}-{model}", asked, compute)
        result["baselines"][view] = row
        write_json(json_file, result)
    return result


_Answer = Callable[[dict[str, Array], dict[str, list[Row]], int, bool], dict[str, Array]]


def _logistic(
    seen: dict[str, Array], splits: dict[str, list[Row]], seed: int, tiny: bool
) -> dict[str, Array]:
    truth = labels_of(splits["val"])
    fitted = [
        Logistic(penalty, 20 if tiny else STEPS).fit(seen["train"], labels_of(splits["train"]))
        for penalty in PENALTIES
    ]
    best = min(fitted, key=lambda model: _log_loss(model.predict(seen["val"]), truth))
    return {name: best.predict(seen[name]) for name in ("val", "test")}


def _trees(
    seen: dict[str, Array], splits: dict[str, list[Row]], seed: int, tiny: bool
) -> dict[str, Array]:
    model = BoostedTrees(len(CLASSES), seed, 3 if tiny else 150)
    model.fit(seen["train"], labels_of(splits["train"]), seen["val"], labels_of(splits["val"]))
    return {name: model.predict(seen[name]) for name in ("val", "test")}


def _log_loss(chances: Array, truth: Labels) -> float:
    return float(-np.log(np.maximum(chances[np.arange(len(truth)), truth], 1e-9)).mean())
