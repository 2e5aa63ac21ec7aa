"""Training a recipe, within a time limit, from a seed; and the figures of what came out.

The limit counts training alone. What was reached is returned with the result (``epochs_reached`` is
a fraction when the limit fell into an epoch), so that a short run can never be taken for the
recipe's full training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from ml import CLASSES
from ml.data import Row, labels_of
from ml.metrics import Array, score_all
from ml.precision import precision
from ml.preprocess import FloatArray
from ml.recipes.pictures import Squares, vary
from ml.recipes.protocol import Plan, Recipe, RecipeError

if TYPE_CHECKING:
    import keras

Report = Callable[[str], None]

BATCH_OF_ANSWERS: Final = 32
RESAMPLES: Final = 1000
SCORING_SEED: Final = 20200211


@dataclass(slots=True)
class Fit:
    """What a training run reached."""

    epochs_asked: int
    epochs_reached: float = 0.0
    stopped: Literal["epochs", "patience", "minutes"] = "epochs"
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: Array = field(default_factory=lambda: np.zeros((0, 0)))
    """Answers on the watched pictures after the epoch with the best accuracy there."""
    best_epoch: float = 0.0
    last: Array = field(default_factory=lambda: np.zeros((0, 0)))
    """Answers on the watched pictures at the end of training."""


def build_model(recipe: Recipe, plan: Plan, *, half: bool = False) -> keras.Model:
    """The compiled network of a recipe.

    :param half: multiply in bfloat16; the outputs are float32 all the same.

    :raises RecipeError: when it does not have the published number of parameters.
    """
    import keras

    with precision(half=half):
        model = recipe.build(plan)
    published = plan.size == recipe.size and plan.outputs == recipe.outputs and not plan.tiny
    if published and recipe.parameters not in (None, model.count_params()):
        raise RecipeError(
            f"{recipe.name} has {model.count_params():,} parameters, not the published "
            f"{recipe.parameters:,}."
        )
    kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    loss = "binary_crossentropy" if plan.outputs == 1 else "categorical_crossentropy"
    model.compile(optimizer=kinds[recipe.optimizer](recipe.rate), loss=loss)
    return model


def targets_of(recipe: Recipe, rows: Sequence[Row]) -> FloatArray:
    """What the outputs should be: (n, 1) for a sigmoid, one-hot (n, classes) for a softmax."""
    numbers = labels_of(rows, recipe.classes)
    if recipe.outputs == 1:
        return numbers.astype(np.float32)[:, np.newaxis]
    targets: FloatArray = np.eye(len(recipe.classes), dtype=np.float32)[numbers]
    return targets


def answer(model: keras.Model, recipe: Recipe, squares: Squares) -> Array:
    """Probabilities in the order of the recipe's classes, (n, classes), rows summing to 1."""
    parts = []
    for start in range(0, len(squares), BATCH_OF_ANSWERS):
        pictures = recipe.prepare(squares[start : start + BATCH_OF_ANSWERS])
        parts.append(np.asarray(model.predict_on_batch(pictures), dtype=np.float64))
    values: Array = np.concatenate(parts)
    if values.shape[1] == 1:
        values = np.concatenate([1.0 - values, values], axis=1)
    if not np.isfinite(values).all():
        raise RecipeError(f"{recipe.name} answered with something that is no number.")
    chances: Array = values / values.sum(axis=1, keepdims=True)
    return chances


def fit(
    model: keras.Model,
    recipe: Recipe,
    learning: tuple[Squares, Sequence[Row]],
    watched: tuple[Squares, Sequence[Row]],
    *,
    seed: int,
    epochs: int | None = None,
    minutes: float | None = None,
    keep: Literal["best", "last"] = "best",
    report: Report = print,
) -> Fit:
    """Train.

    :param keep: the weights that the model is left with: of the epoch with the best accuracy on the
        watched pictures, or of the end, for which the watched pictures decide nothing.
    :param minutes: stop after so much training, if need be in the middle of an epoch.
    """
    squares, rows = learning
    targets = targets_of(recipe, rows)
    result = Fit(epochs_asked=epochs or recipe.epochs)
    steps = math.ceil(len(rows) / recipe.batch)
    limit = math.inf if minutes is None else minutes * 60.0
    best_key, best_weights = (-1.0, -math.inf), model.get_weights()
    smallest, patience = math.inf, 0
    for epoch in range(result.epochs_asked):
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(len(rows))
        losses = []
        began = time.monotonic()
        for step in range(steps):
            if recipe.one_cycle:
                done = (epoch * steps + step) / (result.epochs_asked * steps)
                spent = (result.seconds + time.monotonic() - began) / limit
                model.optimizer.learning_rate.assign(recipe.rate * _cycle(max(done, spent)))
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
            pictures = recipe.prepare(vary(squares[chosen], recipe.augmentation, rng))
            losses.append(float(model.train_on_batch(pictures, targets[chosen])))
            if result.seconds + time.monotonic() - began >= limit:
                break
        result.seconds += time.monotonic() - began
        result.epochs_reached = round(epoch + len(losses) / steps, 3)
        if not np.isfinite(losses).all():
            raise RecipeError(f"{recipe.name}: the loss is no longer a number.")
        result.last = answer(model, recipe, watched[0])
        accuracy, loss = _watch(recipe, result.last, watched[1])
        line = {"epochs": result.epochs_reached, "loss": float(np.mean(losses))}
        line |= {"watched_accuracy": accuracy, "watched_loss": loss}
        result.history.append({key: round(value, 5) for key, value in line.items()})
        report("  ".join(f"{key} {value:.4g}" for key, value in line.items()))
        if (accuracy, -loss) > best_key:
            best_key, best_weights = (accuracy, -loss), model.get_weights()
            result.best, result.best_epoch = result.last, result.epochs_reached
        patience = 0 if loss < smallest else patience + 1
        smallest = min(smallest, loss)
        if recipe.patience is not None and patience >= recipe.patience:
            result.stopped = "patience"
            break
        if result.seconds >= limit and result.epochs_reached < result.epochs_asked:
            result.stopped = "minutes"
            break
    if keep == "best":
        model.set_weights(best_weights)
    return result


def score(classes: Sequence[str], probabilities: Array, rows: Sequence[Row]) -> dict[str, Any]:
    """The figures of answers, all in all and for each source.

    As ``ml.metrics.score_all`` with its intervals (a class that is not among ``classes`` never
    occurs), and the precision and recall of COVID-19.

    :param probabilities: (n, classes), in the order of ``classes``.
    """
    spread = np.zeros((len(rows), len(CLASSES)))
    for number, label in enumerate(classes):
        spread[:, CLASSES.index(label)] = probabilities[:, number]
    figures = _figures(spread, rows)
    figures["per_source"] = {
        source: _figures(spread[[row.source == source for row in rows]], part)
        for source, part in sources_of(rows).items()
    }
    return figures


def sources_of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each source, by name."""
    names = sorted({row.source for row in rows})
    return {name: [row for row in rows if row.source == name] for name in names}


def _figures(spread: Array, rows: Sequence[Row]) -> dict[str, Any]:
    labels: npt.NDArray[np.int64] = np.array([CLASSES.index(row.label) for row in rows])
    groups = [row.group or f"row {row.name}" for row in rows]
    with np.errstate(all="ignore"):
        figures = score_all(spread, labels, groups, RESAMPLES, SCORING_SEED)
    covid = CLASSES.index("covid")
    called = spread.argmax(axis=1) == covid
    real = labels == covid
    figures["precision_covid"] = _share(called & real, called)
    figures["recall_covid"] = _share(called & real, real)
    return figures


def _share(part: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> float | None:
    return round(float(part.sum() / whole.sum()), 4) if whole.any() else None


def _watch(recipe: Recipe, probabilities: Array, rows: Sequence[Row]) -> tuple[float, float]:
    numbers = labels_of(rows, recipe.classes)
    right = probabilities[np.arange(len(rows)), numbers]
    accuracy = float(np.mean(probabilities.argmax(axis=1) == numbers))
    return accuracy, float(-np.log(np.maximum(right, 1e-7)).mean())


def _cycle(done: float) -> float:
    """One cosine cycle: up from a 25th over the first three tenths, then down to nothing."""
    done = min(1.0, max(0.0, done))
    if done < 0.3:
        return 0.04 + 0.96 * (0.5 - 0.5 * math.cos(math.pi * done / 0.3))
    return 0.5 + 0.5 * math.cos(math.pi * (done - 0.3) / 0.7)
