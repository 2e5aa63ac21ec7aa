"""The released kind of model, a head on a backbone that stays as it is, in the benches' cells.

The means of every picture are computed once; each cell is then a fit of seconds. The ridge is
chosen where the other networks choose their epoch, on the same rows, and the left-out source or
fold is looked at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml import CLASSES
from ml.bench.cells import Cell, plain
from ml.bench.folds import set_aside
from ml.data import Row, count_cells, read_manifest
from ml.head import HeadConfig, choose_head, measure_means
from ml.lite_weights import fingerprint, load_weights
from ml.recipes.protocol import Recipe
from ml.recipes.rows import Source, fold_rows
from ml.recipes.training import Report, score


class Heads:
    """Fits heads on rows of one manifest."""

    def __init__(
        self,
        manifest: Path,
        backbone: Path,
        cache: Path,
        report: Report,
        config: HeadConfig | None = None,
    ) -> None:
        self.config = config or HeadConfig()
        weights = load_weights(backbone)
        self.backbone = fingerprint(weights)
        rows = [row for row in read_manifest(manifest) if row.label in CLASSES]
        cache.parent.mkdir(parents=True, exist_ok=True)
        means = measure_means(rows, weights, self.config, cache, report)
        self.asked: dict[str, Any] = {
            "config": plain(asdict(self.config)),
            "backbone": self.backbone,
        }
        """What decides a cell, besides its rows."""
        self._means = dict(zip((row.name for row in rows), means, strict=True))

    def means_of(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        return np.stack([self._means[row.name] for row in rows])

    def compute(
        self,
        learning: Sequence[Row],
        selection: Sequence[Row],
        test: Sequence[Row],
        classes: Sequence[str] = CLASSES,
    ) -> Cell:
        """Fit on rows, choose the ridge on others, and score the last ones."""
        chosen = choose_head(
            self.means_of(learning),
            learning,
            self.means_of(selection),
            selection,
            self.config,
            classes,
        )
        answers = chosen.head.probabilities(self.means_of(test))
        return {
            "learning": count_cells(learning),
            "selection": count_cells(selection),
            "test": count_cells(test),
            "ridge": chosen.ridge,
            "size": self.config.size,
            "view": self.config.view,
            # the pictures are looked at once, as they are
            "epochs_asked": 1,
            "epochs_reached": 1,
            "stopped": "epochs",
            "figures": score(classes, answers, test),
        }

    def on_fold(self, recipe: Recipe, source: Source, fold: int, seed: int) -> dict[str, Any]:
        """A fold of DarkCovidNet, learnt from the other folds alone."""
        division = fold_rows(recipe, source, fold)
        learning, watched = set_aside(division.learning, seed)
        cell = self.compute(learning, watched, division.test, recipe.classes)
        return {"recipe": "thorascreen_head", "protocol": "honest", **cell}
