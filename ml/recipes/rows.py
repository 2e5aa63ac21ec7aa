"""Which pictures a recipe learns from, watches, and is tested on, by each protocol.

``own``     as these systems were built: the pictures of a class are shuffled one by one and cut in
            two, whatever patient they show, and the part that picks the best epoch is the part
            whose figure is reported.
``honest``  as many pictures of the same sources, but out of the manifest's ``train`` split without
            conflicting or flagged ones; the epoch is picked on ``val``; the figure comes from the
            ``test`` split of *every* source, seen once. No group crosses.

For a recipe with folds, one fold is the test and the rest is learnt from; see ``ml.bench.folds``.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ml.data import SELECTION_SPLIT, ManifestError, Row, read_manifest
from ml.recipes.protocol import Pool, Recipe, RecipeError

Protocol = Literal["own", "honest"]
IN_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Division:
    """Three sets of rows; by the own protocol the last two are one and the same."""

    learning: list[Row]
    watched: list[Row]
    test: list[Row]


@dataclass(frozen=True, slots=True)
class Source:
    """A manifest's rows with what recipes ask beyond ``ml.data.Row``."""

    rows: list[Row]
    views: dict[str, str]
    folds: dict[str, int]


def read_source(manifest: Path) -> Source:
    """Read a manifest; ``view`` and ``darkcovidnet_fold`` are used when there.

    :raises ManifestError: as ``ml.data.read_manifest``, and when a fold is no number.
    """
    rows = read_manifest(manifest)
    with manifest.open(newline="", encoding="utf-8-sig") as stream:
        records = {(record["path"] or "").strip(): record for record in csv.DictReader(stream)}
    views = {name: (record.get("view") or "").strip() for name, record in records.items()}
    folds = {}
    for name, record in records.items():
        text = (record.get("darkcovidnet_fold") or "").strip()
        if text:
            try:
                folds[name] = int(text)
            except ValueError:
                raise ManifestError(
                    f"{manifest}: {name}: the fold {text!r} is no number."
                ) from None
    return Source(rows, views, folds)


def divide(recipe: Recipe, source: Source, protocol: Protocol, seed: int) -> Division:
    """The rows of a protocol, drawn from a seed.

    :raises RecipeError: when a class has nothing to learn from or nothing to test on.
    """
    rng = np.random.default_rng((seed, len(recipe.classes)))
    if protocol == "own":
        division = _divide_own(recipe, source, rng)
    else:
        division = _divide_honest(recipe, source, rng)
    for label in recipe.classes:
        for part in (division.learning, division.watched, division.test):
            if not any(row.label == label for row in part):
                raise RecipeError(
                    f"{recipe.name} needs {label} pictures to learn from, to watch and to test on; "
                    "this manifest lacks some."
                )
    return division


def fold_rows(recipe: Recipe, source: Source, fold: int) -> Division:
    """One fold to test on, the others to learn from; the test is what is watched.

    The given folds are group-clean. Conflicting labels stay in, as they did in the paper.

    :raises RecipeError: when the manifest has no such fold.
    """
    members = [row for row in source.rows if row.name in source.folds]
    members = [row for row in members if row.label in recipe.classes]
    test = [row for row in members if source.folds[row.name] == fold]
    learning = [row for row in members if source.folds[row.name] != fold]
    if not test or not learning:
        raise RecipeError(f"{recipe.name} needs the column darkcovidnet_fold with fold {fold}.")
    check_groups(learning, test)
    return Division(learning, test, test)


def check_groups(learning: Sequence[Row], test: Sequence[Row]) -> None:
    """Refuse rows of one group on both sides."""
    groups = {row.group for row in learning if row.group}
    crossing = sorted({row.group for row in test if row.group in groups})
    if crossing:
        raise RecipeError(f"The group {crossing[0]} is both learnt from and tested on.")


def without_pneumonia(recipe: Recipe) -> Recipe:
    """The same recipe for COVID-19 against no findings."""
    return replace(
        recipe,
        classes=("normal", "covid"),
        outputs=2,
        pools=tuple(pool for pool in recipe.pools if pool.label != "pneumonia"),
    )


def _divide_own(recipe: Recipe, source: Source, rng: np.random.Generator) -> Division:
    learning: list[Row] = []
    watched: list[Row] = []
    for pool in recipe.pools:
        known = [row for row in source.rows if row.split in IN_SPLITS and row.label == pool.label]
        drawn = _draw(pool, known, source.views, pool.train + pool.test, rng)
        shuffled = [drawn[number] for number in rng.permutation(len(drawn))]
        share = pool.train / max(1, pool.train + pool.test)
        cut = min(pool.train, round(len(shuffled) * share))
        learning += shuffled[:cut]
        watched += shuffled[cut:]
    return Division(learning, watched, watched)


def _divide_honest(recipe: Recipe, source: Source, rng: np.random.Generator) -> Division:
    learning: list[Row] = []
    watched: list[Row] = []
    for pool in recipe.pools:
        for split, count, part in (
            ("train", pool.train, learning),
            (SELECTION_SPLIT, pool.test, watched),
        ):
            clean = [
                row
                for row in source.rows
                if row.split == split
                and row.label == pool.label
                and not row.label_conflict
                and not row.flag
            ]
            part += _draw(pool, clean, source.views, count, rng)
    test = [row for row in source.rows if row.split == "test" and row.label in recipe.classes]
    check_groups(learning, [*watched, *test])
    check_groups(watched, test)
    return Division(learning, watched, test)


def _draw(
    pool: Pool, known: Sequence[Row], views: dict[str, str], count: int, rng: np.random.Generator
) -> list[Row]:
    """So many rows: by source in order of preference, the wanted view first, the rest by chance.

    A manifest that has none of the named sources is drawn from as it is.
    """
    named = [row for row in known if row.source in pool.sources] or list(known)
    order = {name: number for number, name in enumerate(pool.sources)}
    chance = rng.permutation(len(named))
    ranked = sorted(
        range(len(named)),
        key=lambda number: (
            order.get(named[number].source, len(order)),
            bool(pool.view) and views.get(named[number].name) != pool.view,
            chance[number],
        ),
    )
    return [named[number] for number in ranked[:count]]
