"""Our own network on the folds of DarkCovidNet, and manifests derived for it.

The released architecture, trained by the shipped code on the other folds: from scratch, or begun
with the weights of a run that has seen no group of any fold. A tenth of the groups is set aside to
pick the epoch; the fold itself is looked at once, at the end. That is the honest protocol; an own
one, with the fold as validation set, is not run for it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ml import CLASSES, preprocess
from ml.data import ManifestError, Row, count_cells, load_squares, read_manifest
from ml.metrics import Array
from ml.recipes.protocol import Recipe
from ml.recipes.rows import Source, check_groups, fold_rows
from ml.recipes.training import Report, score
from ml.train import Config, TrainingError, load_averaged, run_training, smoke_config

WATCHED_SHARE: Final = 0.1
CONFIG: Final = Config(epochs=40, size=128, small_sizes=(), warmup_steps=100)
"""Chosen before any fold was looked at: fewer warm-up steps, for there are 28 steps an epoch."""
STARTED: Final = replace(CONFIG, epochs=20, peak_rate=3e-4)
"""For a network that can see already."""
BATCH: Final = 64
COLUMNS: Final = ("path", "label", "source", "group", "split", "label_conflict", "flag")


def run_own_network(
    recipe: Recipe,
    source: Source,
    fold: int,
    out: Path,
    *,
    seed: int,
    minutes: float | None,
    tiny: bool,
    half: bool,
    report: Report,
    start_from: Path | None = None,
) -> dict[str, Any]:
    """Train on the other folds and score the one; a run that was stopped goes on.

    :param recipe: names the classes; two of them for COVID-19 against no findings.
    :param start_from: a run of ``bench sources`` whose weights are the first ones.
    :raises TrainingError: when that run has learnt from, or picked its epoch on, a group of a fold.
    """
    if start_from is not None:
        refuse_known_groups(start_from, source)
    division = fold_rows(recipe, source, fold)
    learning, watched = set_aside(division.learning, seed)
    chosen = CONFIG if start_from is None else STARTED
    config = smoke_config(seed) if tiny else replace(chosen, seed=seed, half=half)
    manifest = write_manifest(out / "manifest.csv", {"train": learning, "val": watched})
    run = out / "run"
    if not (run / "config.json").exists() or not has_finished(run, config.epochs):
        resume = (run / "config.json").exists()
        run_training(
            manifest,
            run,
            config,
            resume=resume,
            start_from=start_from,
            minutes=minutes,
            report=report,
        )
    answers = answer_with(run, division.test)[:, [CLASSES.index(c) for c in recipe.classes]]
    answers /= answers.sum(axis=1, keepdims=True)
    return {
        "recipe": "thorascreen",
        "protocol": "honest",
        "learning": count_cells(learning),
        "watched": count_cells(watched),
        "test": count_cells(division.test),
        "size": config.size,
        "half": config.half,
        "minutes_cap": minutes,
        **progress_of(run, config.epochs),
        "figures": score(recipe.classes, answers, division.test),
    }


def refuse_known_groups(run: Path, source: Source) -> None:
    """Make sure that a run knows no picture, copy or patient of the folds.

    :raises TrainingError: when it does, or when its manifest does not lie beside it.
    """
    try:
        known = read_manifest(run.parent / "manifest.csv")
    except ManifestError as error:
        raise TrainingError(f"{run}: what it was trained on cannot be told ({error})") from error
    folded = {row.group or row.name for row in source.rows if row.name in source.folds}
    shared = sum(1 for row in known if row.group in folded)
    if shared:
        raise TrainingError(f"{run} knows {shared} pictures whose groups are in the folds.")


def set_aside(rows: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """Cut off about a tenth of the groups of each class, to pick epochs on."""
    rng = np.random.default_rng(seed)
    watched: set[str] = set()
    for label in sorted({row.label for row in rows}):
        groups = sorted({row.group or row.name for row in rows if row.label == label})
        count = max(1, round(len(groups) * WATCHED_SHARE))
        watched |= {groups[number] for number in rng.permutation(len(groups))[:count]}
    inside = [row for row in rows if (row.group or row.name) in watched]
    outside = [row for row in rows if (row.group or row.name) not in watched]
    check_groups(outside, inside)
    return outside, inside


def write_manifest(path: Path, splits: dict[str, Sequence[Row]]) -> Path:
    """A manifest of these rows, with absolute paths, that ``ml.train`` can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for split, rows in splits.items():
            for row in rows:
                conflict = "1" if row.label_conflict else ""
                place = str(row.path.resolve())
                writer.writerow(
                    [place, row.label, row.source, row.group, split, conflict, row.flag]
                )
    return path


def has_finished(run: Path, epochs: int) -> bool:
    """Whether a run has come to its last epoch."""
    return len(_history(run)) >= epochs


def progress_of(run: Path, epochs: int) -> dict[str, Any]:
    """How far a run of ``ml.train`` has come, in the words of a recipe's record."""
    history = _history(run)
    return {
        "epochs_asked": epochs,
        "epochs_reached": len(history),
        "stopped": "epochs" if len(history) >= epochs else "minutes",
        "seconds": round(sum(float(line["seconds"]) for line in history), 1),
    }


def answer_with(run: Path, rows: Sequence[Row]) -> Array:
    """Uncalibrated probabilities of a run's best averaged network, (n, 3).

    :raises TrainingError: when the run has no epoch at full size yet.
    """
    model, description = load_averaged(run)
    size = int(description["config"]["size"])
    parts = []
    for start in range(0, len(rows), BATCH):
        squares = load_squares(rows[start : start + BATCH], size).astype(np.float32)
        pictures = np.stack([preprocess.normalise(square / 255.0) for square in squares])
        logits = np.asarray(model.predict_on_batch(pictures[..., np.newaxis])["logits"])
        parts.append(logits.astype(np.float64))
    values = np.concatenate(parts)
    if not np.isfinite(values).all():
        raise TrainingError(f"{run} answers with something that is no number.")
    chances: Array = np.exp(values - np.logaddexp.reduce(values, axis=1, keepdims=True))
    return chances


def _history(run: Path) -> list[dict[str, Any]]:
    try:
        text = (run / "history.jsonl").read_text(encoding="utf-8")
    except OSError:
        return []
    return [json.loads(line) for line in text.splitlines() if line.strip()]
