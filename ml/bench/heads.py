"""The released kind of model, a head on a backbone that stays as it is, in the benches' cells.

The means of every picture are computed once; each cell is then a fit of seconds. The ridge is
chosen where the other networks choose their epoch, on the same rows, and the left-out source or
fold is looked at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ml import CLASSES
from ml.bench.cells import Cell, plain
from ml.bench.folds import set_aside
from ml.data import Row, count_cells, labels_of, read_manifest, training_rows
from ml.head import Choice, Head, HeadConfig, choose_head, fit_head, hold_back, weigh
from ml.lite_weights import fingerprint, load_weights
from ml.means import Exchanged, measure_exchanged, measure_means
from ml.recipes.protocol import Recipe
from ml.recipes.rows import Source, fold_rows
from ml.recipes.training import Report, score

AT_ONCE: Final = {"epochs_asked": 1, "epochs_reached": 1, "stopped": "epochs"}
"""How far a head's training went, in a recipe's words: the pictures are looked at once."""


class Heads:
    """Fits heads on rows of one manifest."""

    def __init__(
        self,
        manifest: Path,
        backbone: Path,
        cache: Path,
        report: Report,
        config: HeadConfig | None = None,
        among: Collection[str] | None = None,
    ) -> None:
        """
        :param cache: of the means; what else is looked at is kept beside it.
        :param among: names of the only pictures that will be asked for; None for all.
        """
        self.config = config or HeadConfig()
        self._weights = load_weights(backbone)
        self.backbone = fingerprint(self._weights)
        self._rows = [
            row
            for row in read_manifest(manifest)
            if row.label in CLASSES and (among is None or row.name in among)
        ]
        self._folder, self._report = cache.parent, report
        self._folder.mkdir(parents=True, exist_ok=True)
        means = self._look(cache)
        self.asked: dict[str, Any] = {
            "config": plain(asdict(self.config)),
            "backbone": self.backbone,
        }
        """What decides a cell, besides its rows."""
        names = [row.name for row in self._rows]
        self._means = dict(zip(names, means, strict=True))
        self._mirrored: dict[str, npt.NDArray[np.float32]] = {}
        if self.config.mirrored:
            mirror = self._look(self._folder / "mirrored.npz", mirror=True)
            self._mirrored = dict(zip(names, mirror, strict=True))

    @cached_property
    def exchanged(self) -> Exchanged | None:
        """Pictures that a release learns from, in surroundings of one another."""
        return self._exchange(training_rows(self._rows), "exchanged")

    def _exchange(self, rows: Sequence[Row], name: str) -> Exchanged | None:
        if self.config.view != "lungs" or not self.config.around:
            return None
        cache = self._folder / f"{name}.npz"
        return measure_exchanged(rows, self._weights, self.config.size, cache, self._report)

    def _look(self, cache: Path, *, mirror: bool = False) -> npt.NDArray[np.float32]:
        size, view = self.config.size, self.config.view
        return measure_means(
            self._rows, self._weights, size, view, cache, self._report, mirror=mirror
        )

    def means_of(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """(n, looks, FEATURES), what is answered from."""
        return np.stack([self._means[row.name] for row in rows])

    def learnt_of(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """The same and, where asked for, the looks in the mirror."""
        if not self._mirrored:
            return self.means_of(rows)
        mirror = np.stack([self._mirrored[row.name] for row in rows])
        return np.concatenate([self.means_of(rows), mirror], axis=1)

    def compute(
        self, learning: Sequence[Row], selection: Sequence[Row], test: Sequence[Row]
    ) -> Cell:
        """Fit on rows as a release is, choose the ridge on others, and score the last ones."""
        chosen = self._choose(learning, selection, CLASSES, self.exchanged)
        return self._cell(chosen, learning, selection, test, CLASSES)

    def on_fold(self, recipe: Recipe, source: Source, fold: int, seed: int) -> dict[str, Any]:
        """A fold of DarkCovidNet, learnt from the other folds alone."""
        chosen, learning, watched = self.choose_on_fold(recipe, source, fold, seed)
        test = fold_rows(recipe, source, fold).test
        cell = self._cell(chosen, learning, watched, test, recipe.classes)
        return {"protocol": "honest", **cell}

    def choose_on_fold(
        self, recipe: Recipe, source: Source, fold: int, seed: int
    ) -> tuple[Choice, list[Row], list[Row]]:
        """The head for a fold, and the rows it was learnt from and chosen on, all of other
        folds."""
        learning, watched = set_aside(fold_rows(recipe, source, fold).learning, seed)
        exchanged = self._exchange(learning, f"exchanged-{len(recipe.classes)}-{fold}")
        return self._choose(learning, watched, recipe.classes, exchanged), learning, watched

    def fit(self, learning: Sequence[Row], ridge: float, classes: Sequence[str]) -> Head:
        """A head with a known ridge, held back only from what differs between sources."""
        means, config = self.learnt_of(learning), self.config
        labels = labels_of(learning, classes)
        shares = weigh(learning, config.sampling_power)
        held = hold_back(means, learning, config, None)
        return fit_head(means, labels, shares, ridge, config.steps, len(classes), held=held)

    def _choose(
        self,
        learning: Sequence[Row],
        selection: Sequence[Row],
        classes: Sequence[str],
        exchanged: Exchanged | None,
    ) -> Choice:
        return choose_head(
            self.learnt_of(learning),
            learning,
            self.means_of(selection),
            selection,
            self.config,
            classes,
            exchanged,
        )

    def _cell(
        self,
        chosen: Choice,
        learning: Sequence[Row],
        selection: Sequence[Row],
        test: Sequence[Row],
        classes: Sequence[str],
    ) -> Cell:
        answers = chosen.head.probabilities(self.means_of(test))
        return {
            "learning": count_cells(learning),
            "selection": count_cells(selection),
            "test": count_cells(test),
            "ridge": chosen.ridge,
            "size": self.config.size,
            "view": self.config.view,
            **AT_ONCE,
            "figures": score(classes, answers, test),
        }
