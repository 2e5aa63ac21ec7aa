"""A trained recipe in a folder: written by ``train --recipe``, read by ``predict --recipe``.

``recipe.json``    what was trained, on how many pictures, how far, with which figures
``model.keras``    the network, checked by its sha256 before it answers
and, where the original was saved so, ``model.h5`` or ``model.json`` with ``model.weights.h5``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ml.data import DATA_LIMITS, count_cells, load_squares
from ml.imaging import decode
from ml.package import hash_file
from ml.preprocess import resize_square
from ml.recipes import get_recipe
from ml.recipes.backbones import ask_for_weights
from ml.recipes.protocol import TINY_SIZE, Plan, Recipe, RecipeError
from ml.recipes.rows import Division, Protocol, Source, divide, fold_rows, read_source
from ml.recipes.training import Fit, Report, answer, build_model, fit, score

if TYPE_CHECKING:
    import keras

RUNS: Final = Path("var/recipes")
"""Where runs are kept unless told otherwise."""
FOLD_KEPT: Final = 0
"""The fold that a kept run of a recipe with folds is tested on."""


def train_recipe(
    name: str,
    manifest: Path,
    out: Path,
    *,
    protocol: Protocol = "honest",
    seed: int = 1,
    minutes: float | None = None,
    tiny: bool = False,
    half: bool = False,
    report: Report = print,
) -> dict[str, Any]:
    """Train a recipe and keep it; one with folds leaves ``FOLD_KEPT`` out and is tested on it.

    :returns: what is written to ``recipe.json``.
    :raises RecipeError: when the folder holds a run, or the manifest lacks what the recipe needs.
    """
    if (out / "recipe.json").exists():
        raise RecipeError(f"{out} already holds a run: choose another folder.")
    recipe, source = get_recipe(name), read_source(manifest)
    if recipe.folds:
        # one training serves both protocols; what is kept is the honest one's
        protocol, division = "honest", fold_rows(recipe, source, FOLD_KEPT)
    else:
        division = divide(recipe, source, protocol, seed)
    model, record = run_recipe(
        recipe,
        division,
        protocol,
        source=source,
        seed=seed,
        minutes=minutes,
        tiny=tiny,
        half=half,
        cache=None,
        report=report,
    )
    record["fold"] = FOLD_KEPT if recipe.folds else None
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / "model.keras")
    for kind in recipe.formats:
        if kind == "hdf5":
            model.save(out / "model.h5")
        else:
            (out / "model.json").write_text(model.to_json(), encoding="utf-8")
            model.save_weights(out / "model.weights.h5")
    record["sha256"] = hash_file(out / "model.keras")
    (out / "recipe.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def run_recipe(
    recipe: Recipe,
    division: Division,
    protocol: Protocol,
    *,
    source: Source | None = None,
    seed: int,
    minutes: float | None,
    tiny: bool,
    half: bool,
    cache: Path | None,
    report: Report,
) -> tuple[keras.Model, dict[str, Any]]:
    """Train and score once; the model and the record of what was done.

    By the own protocol the figures are those of the best watched epoch, by which the epoch was
    picked. With folds, the fold is watched but decides nothing by the honest protocol: the weights
    at the end of training are scored.

    :param source: with folds, the manifest whose ``test`` split is scored too.
    :param cache: a folder for the decoded pictures.
    """
    import keras

    keras.utils.set_random_seed(seed)
    size = TINY_SIZE if tiny else recipe.size
    plan = Plan(size, recipe.outputs, None if tiny else ask_for_weights(recipe), tiny)
    model = build_model(recipe, plan, half=half)

    def load(rows: Any, part: str) -> Any:
        where = None if cache is None else cache / f"{recipe.name}-{protocol}-{part}-{size}.npz"
        return load_squares(rows, size, where)

    learnt, watched = load(division.learning, "learning"), load(division.watched, "watched")
    result = fit(
        model,
        recipe,
        (learnt, division.learning),
        (watched, division.watched),
        seed=seed,
        epochs=1 if tiny else None,
        minutes=minutes,
        keep="last" if recipe.folds else "best",
        report=report,
    )
    record = _describe(recipe, division, protocol, plan, model, result)
    record |= {"seed": seed, "tiny": tiny, "half": half, "minutes_cap": minutes}
    if recipe.folds:
        record["figures"] = score(recipe.classes, result.last, division.test)
        record["best_watched"] = score(recipe.classes, result.best, division.test)
        if source is not None:
            record["test_split"] = _score_test_split(recipe, source, division, model, load)
    elif protocol == "own":
        record["figures"] = score(recipe.classes, result.best, division.test)
    else:
        answers = answer(model, recipe, load(division.test, "test"))
        record["figures"] = score(recipe.classes, answers, division.test)
    return model, record


class TrainedRecipe:
    """A run, loaded and ready to answer."""

    def __init__(self, recipe: Recipe, size: int, model: keras.Model) -> None:
        self.recipe = recipe
        self.size = size
        self.model = model

    @classmethod
    def load(cls, name: str, run: Path) -> TrainedRecipe:
        """Read a run back.

        :raises RecipeError: when there is none, it is of another recipe, or a byte has changed.
        """
        import keras

        recipe = get_recipe(name)
        try:
            record = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
            found, size, wanted = record["recipe"], int(record["size"]), record["sha256"]
            actual = hash_file(run / "model.keras")
        except OSError:
            raise RecipeError(
                f"{run} holds no trained {name}; train it first: "
                f"python -m ml train --recipe {name} --out {run}"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise RecipeError(f"{run}: recipe.json cannot be understood.") from None
        if found != name:
            raise RecipeError(f"{run} holds the recipe {found}, not {name}.")
        if actual != wanted:
            raise RecipeError(f"{run}: model.keras is not the file that was trained.")
        return cls(recipe, size, keras.models.load_model(run / "model.keras", compile=False))

    def classify(self, data: bytes) -> dict[str, float]:
        """Probabilities by class, the likeliest first.

        :raises ImagingError: when the bytes are no picture.
        """
        square = resize_square(decode(data, DATA_LIMITS).pixels, self.size)
        stored = (square * 255.0).round().astype("uint8")[None]
        (values,) = answer(self.model, self.recipe, stored)
        named = zip(self.recipe.classes, (float(value) for value in values), strict=True)
        return dict(sorted(named, key=lambda pair: -pair[1]))


def _describe(
    recipe: Recipe,
    division: Division,
    protocol: Protocol,
    plan: Plan,
    model: keras.Model,
    result: Fit,
) -> dict[str, Any]:
    weights = None
    if recipe.backbone:
        weights = plan.weights or "none: trained from scratch"
    return {
        "recipe": recipe.name,
        "protocol": protocol,
        "classes": list(recipe.classes),
        "size": plan.size,
        "parameters": int(model.count_params()),
        "backbone": recipe.backbone,
        "backbone_weights": weights,
        "learning": count_cells(division.learning),
        "watched": count_cells(division.watched),
        "test": count_cells(division.test),
        "epochs_asked": result.epochs_asked,
        "epochs_reached": result.epochs_reached,
        "best_watched_epoch": result.best_epoch,
        "stopped": result.stopped,
        "seconds": round(result.seconds, 1),
        "history": result.history,
    }


def _score_test_split(
    recipe: Recipe, source: Source, division: Division, model: keras.Model, load: Any
) -> dict[str, Any] | None:
    """The same network on the manifest's test split: other hospitals than the folds'."""
    groups = {row.group for row in division.learning if row.group}
    rows = [
        row
        for row in source.rows
        if row.split == "test" and row.label in recipe.classes and row.group not in groups
    ]
    if not rows:
        return None
    return score(recipe.classes, answer(model, recipe, load(rows, "test")), rows)
