"""``python -m ml bench baselines``: how far one gets without looking at the lungs.

What a picture of 16 x 16 pixels, its outer border alone, or what is left when the lungs are painted
over gives away is hardly medicine: it is age, projection, hospital and file history. A model must
be read against these figures, source by source. Learnt on ``train``, picked on ``val``, and scored
on ``test`` once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ml import CLASSES
from ml.bench.boosting import BoostedTrees, softmax
from ml.bench.cells import Cells, write_json
from ml.bench.phantoms import draw_bench_set
from ml.data import ManifestError, Row, count_cells, labels_of, load_squares, read_manifest
from ml.lungs import LungSegmenter
from ml.metrics import Array, Labels
from ml.package import PackageError, hash_file
from ml.recipes.training import Report, score

SIZE: Final = 128
"""Side of the stored pictures; the baselines see 32 x 32 or 16 x 16 of it."""
BORDER: Final = 3
"""Pixels of 32, so that the border is the outermost tenth of each side."""
REACH: Final = 9
"""Side of the square by which the lungs are widened before they are painted over."""
PENALTIES: Final = (1e-4, 1e-3, 1e-2)
STEPS: Final = 400

Squares = npt.NDArray[np.uint8]
Kept = npt.NDArray[np.bool_]
View = Callable[[Squares], tuple[Array, Kept]]


def thumbnail(squares: Squares) -> tuple[Array, Kept]:
    """The picture at 16 x 16, (n, 256) in [0, 1]."""
    return _shrink(squares, 16).reshape(len(squares), -1), np.ones(len(squares), dtype=bool)


def border(squares: Squares) -> tuple[Array, Kept]:
    """The outermost ``BORDER`` pixels of each side of 32 x 32 alone, (n, 348) in [0, 1]."""
    ring = np.ones((32, 32), dtype=bool)
    ring[BORDER:-BORDER, BORDER:-BORDER] = False
    return _shrink(squares, 32)[:, ring], np.ones(len(squares), dtype=bool)


def lungs_masked(squares: Squares) -> tuple[Array, Kept]:
    """The picture at 16 x 16 with the widened lungs painted in the mean grey of the rest.

    The outline of what was painted still tells the shape of the lungs. Pictures whose lungs are not
    found are left out.
    """
    segmenter = LungSegmenter.load()
    widen = ImageFilter.MaxFilter(REACH)
    painted, kept = squares.copy(), np.zeros(len(squares), dtype=bool)
    for number, square in enumerate(squares):
        lungs = segmenter.find(square.astype(np.float32) / np.float32(255.0))
        kept[number] = lungs.found
        mask = Image.fromarray(lungs.mask.astype(np.uint8) * 255).resize((SIZE, SIZE))
        covered = np.asarray(mask.filter(widen)) > 127
        if not covered.all():
            painted[number][covered] = round(float(square[~covered].mean()))
    return thumbnail(painted)[0], kept


def _shrink(squares: Squares, side: int) -> Array:
    """Means of blocks, (n, side, side) in [0, 1]."""
    block = SIZE // side
    blocks = squares.reshape(len(squares), side, block, side, block)
    means: Array = blocks.mean(axis=(2, 4), dtype=np.float64) / 255.0
    return means


VIEWS: Final[dict[str, View]] = {
    "thumbnail_16": thumbnail,
    "border_only": border,
    "lungs_masked": lungs_masked,
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
    for view in VIEWS:
        seen = cache(partial(_look, VIEWS[view], squares, splits))
        row: dict[str, Any] = {}
        try:
            for name, answer in (("logistic", _logistic), ("boosted_trees", _trees)):
                report(f"== {view} {name}")
                compute = partial(_score, answer, seen, seed, tiny)
                row[name] = cells.get(f"{view}-{name}", asked, compute)
        except PackageError as error:
            row = {"note": error.message}
        result["baselines"][view] = row
        write_json(json_file, result)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One split as a view shows it."""

    inputs: Array
    rows: list[Row]
    left_out: int

    @property
    def labels(self) -> Labels:
        return labels_of(self.rows)


_Answer = Callable[[dict[str, Seen], int, bool], dict[str, Array]]


def _look(look: View, squares: dict[str, Squares], splits: dict[str, list[Row]]) -> dict[str, Seen]:
    seen = {}
    for name, rows in splits.items():
        inputs, kept = look(squares[name])
        chosen = [row for row, keep in zip(rows, kept, strict=True) if keep]
        if not chosen:
            raise ManifestError(f"The lungs were found in no picture of the split {name}.")
        seen[name] = Seen(inputs[kept], chosen, len(rows) - len(chosen))
    return seen


def _score(
    answer: _Answer, look: Callable[[], dict[str, Seen]], seed: int, tiny: bool
) -> dict[str, Any]:
    seen = look()
    answers = answer(seen, seed, tiny)
    return {
        name: score(CLASSES, answers[name], seen[name].rows) | {"left_out": seen[name].left_out}
        for name in ("val", "test")
    }


def _logistic(seen: dict[str, Seen], seed: int, tiny: bool) -> dict[str, Array]:
    train, val = seen["train"], seen["val"]
    fitted = [
        Logistic(penalty, 20 if tiny else STEPS).fit(train.inputs, train.labels)
        for penalty in PENALTIES
    ]
    best = min(fitted, key=lambda model: _log_loss(model.predict(val.inputs), val.labels))
    return {name: best.predict(seen[name].inputs) for name in ("val", "test")}


def _trees(seen: dict[str, Seen], seed: int, tiny: bool) -> dict[str, Array]:
    train, val = seen["train"], seen["val"]
    model = BoostedTrees(len(CLASSES), seed, 3 if tiny else 150)
    model.fit(train.inputs, train.labels, val.inputs, val.labels)
    return {name: model.predict(seen[name].inputs) for name in ("val", "test")}


def _log_loss(chances: Array, truth: Labels) -> float:
    return float(-np.log(np.maximum(chances[np.arange(len(truth)), truth], 1e-9)).mean())
