"""Many heads instead of one, on the folds of DarkCovidNet: how much do several looks add?

A released model has to answer in 60 ms and looks at one size with one backbone. Here a film is seen
by each of several backbones, none of them trained on radiographs, at three sizes; of every map that
``ml.lite`` taps both the mean and the standard deviation over the whole film are kept; each
combination gets a head of its own, and the answer is the mean of their log probabilities for the
film and its mirror image. There is no seed, no epoch and nothing to choose on a fold: the one ridge
was chosen on films of folds 1 to 4 alone (docs/decisions.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ml import lite
from ml.bench.cells import plain
from ml.bench.heads import AT_ONCE
from ml.data import Row, count_cells, labels_of, load_squares
from ml.head import fit_in_span, weigh
from ml.lite import Weights
from ml.lite_weights import fingerprint, load_weights, stages_of
from ml.metrics import Array
from ml.preprocess import normalise
from ml.recipes.protocol import Recipe
from ml.recipes.rows import Source, fold_rows
from ml.recipes.training import Report, score

if TYPE_CHECKING:
    import keras

Moments = npt.NDArray[np.float32]
"""(n, 2, features): means and deviations of the maps, of the film and of its mirror image."""
SEEN_AT_ONCE: Final = 25


@dataclass(frozen=True, slots=True)
class ManyConfig:
    """What decides a fit, all of it."""

    sizes: tuple[int, ...] = (224, 320, 448)
    ridge: float = 1.0
    sampling_power: float = 0.8
    steps: int = 300


def smoke_config() -> ManyConfig:
    """A fit of seconds that goes through every line."""
    return ManyConfig(sizes=(32, 64), steps=20)


class ManyHeads:
    """Fits a head for each backbone and size on rows of one manifest."""

    def __init__(
        self,
        rows: Sequence[Row],
        backbones: Sequence[Path],
        folder: Path,
        report: Report,
        config: ManyConfig | None = None,
    ) -> None:
        """
        :param rows: the only pictures that will be asked for.
        :param folder: where what the backbones saw is kept.
        :raises BackboneError: when a file holds no backbone that is known.
        """
        self.config = config or ManyConfig()
        self._rows, self._folder, self._report = list(rows), folder, report
        self._backbones = {fingerprint(one): one for one in map(load_weights, backbones)}
        self.asked: dict[str, Any] = {
            "config": plain(asdict(self.config)),
            "backbones": sorted(self._backbones),
        }
        """What decides a cell, besides its rows."""
        self._places = {row.name: place for place, row in enumerate(self._rows)}

    def on_fold(self, recipe: Recipe, source: Source, fold: int) -> dict[str, Any]:
        """A fold of DarkCovidNet, learnt from all of the other folds and nothing else."""
        division = fold_rows(recipe, source, fold)
        answers = self._answer(division.learning, division.test, recipe.classes)
        return {
            "protocol": "honest",
            "learning": count_cells(division.learning),
            "test": count_cells(division.test),
            "heads": len(self._seen),
            "ridge": self.config.ridge,
            **AT_ONCE,
            "figures": score(recipe.classes, answers, division.test),
        }

    def _answer(
        self, learning: Sequence[Row], test: Sequence[Row], classes: Sequence[str]
    ) -> Array:
        """Probabilities, (n, classes)."""
        config = self.config
        first, second = ([self._places[row.name] for row in part] for part in (learning, test))
        labels = labels_of(learning, classes)
        shares = weigh(learning, config.sampling_power)
        logs = []
        for seen in self._seen:
            head = fit_in_span(
                seen[first], labels, shares, config.ridge, config.steps, len(classes)
            )
            for look in np.split(seen[second], 2, axis=1):
                logs.append(np.log(np.maximum(head.probabilities(look), 1e-12)))
        raised = np.exp(np.mean(logs, axis=0))
        answers: Array = raised / raised.sum(axis=1, keepdims=True)
        return answers

    @cached_property
    def _seen(self) -> list[Moments]:
        """What each backbone saw at each size, kept in the folder."""
        return [self._look(mark, size) for size in self.config.sizes for mark in self._backbones]

    def _look(self, mark: str, size: int) -> Moments:
        kept = self._folder / f"moments-{mark[:12]}-{size}.npz"
        names = np.array([row.name for row in self._rows])
        if kept.exists():
            with np.load(kept, allow_pickle=False) as stored:
                if np.array_equal(stored["names"], names):
                    found: Moments = stored["moments"]
                    return found
        self._report(f"Looking at {len(names)} pictures at {size} pixels with {mark[:12]}.")
        model = build_moments(size, self._backbones[mark])
        parts = []
        for start in range(0, len(names), SEEN_AT_ONCE):
            squares = load_squares(self._rows[start : start + SEEN_AT_ONCE], size)
            greys = np.stack([normalise(one / np.float32(255.0)) for one in squares])
            parts.append(np.stack([_ask(model, greys), _ask(model, greys[:, :, ::-1])], axis=1))
        moments: Moments = np.concatenate(parts)
        self._folder.mkdir(parents=True, exist_ok=True)
        with kept.open("wb") as stream:
            np.savez(stream, names=names, moments=moments)
        return moments


def build_moments(size: int, weights: Weights) -> keras.Model:
    """A backbone with the mean and the standard deviation of each tapped map, side by side."""
    import keras

    inputs, taps, _ = lite.maps_of(size, stages_of(weights))
    found = []
    for maps in taps.values():
        mean = keras.ops.mean(maps, axis=(1, 2), keepdims=True)
        spread = keras.ops.mean(keras.ops.square(maps - mean), axis=(1, 2))
        found += [mean[:, 0, 0], keras.ops.sqrt(spread + 1e-8)]
    model = keras.Model(inputs, keras.ops.concatenate(found, axis=1), name="moments")
    lite.set_backbone(model, weights)
    return model


def _ask(model: keras.Model, greys: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Of whole films: every place counts alike."""
    asked = np.stack([greys, np.ones_like(greys)], axis=-1)
    answer: npt.NDArray[np.float32] = np.asarray(model.predict_on_batch(asked))
    return answer
