"""``python -m ml bench recipes``: what was claimed, what comes out, and what is left of it.

Three columns that differ on purpose. *Claimed*: as published. *Own protocol*: pictures split one by
one, and the set that picked the epoch is the set reported; high figures are expected and prove
little. *Honest protocol*: split by group, epoch picked on val, then once on the test split of every
source, with a figure for each source. Nothing is ever picked on a test set of the honest protocol.

For the folds of DarkCovidNet one training a fold serves both: the best epoch on the fold is the own
figure, the end of training, which the fold decides nothing about, the honest one.

With ``--minutes-each`` a cell is a short training, and says so (``epochs_reached`` of
``epochs_asked``): its figures are a lower bound of what the recipe can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from ml import CLASSES, recipes
from ml.bench.cells import Cell, Cells, write_json
from ml.bench.folds import run_own_network
from ml.bench.heads import Heads
from ml.bench.many import ManyHeads
from ml.bench.many import smoke_config as smoke_many
from ml.bench.phantoms import draw_bench_set
from ml.head import HeadConfig
from ml.head import smoke_config as smoke_head
from ml.package import hash_file
from ml.recipes.protocol import Recipe, RecipeError
from ml.recipes.rows import Protocol, Source, divide, fold_rows, read_source, without_pneumonia
from ml.recipes.runs import run_recipe
from ml.recipes.training import Report

OURS: Final = "thorascreen"
"""The released architecture from scratch, on the folds next to DarkCovidNet."""
OURS_STARTED: Final = "thorascreen_started"
"""The same, begun with weights of the other sources, where ``start_from`` names them."""
OURS_HEAD: Final = "thorascreen_head"
"""The released kind of model: a head on the backbone that ``backbone`` names."""
OURS_WHOLE: Final = "thorascreen_whole"
"""The same, shown whole films and nothing else, as DarkCovidNet is. All films of two of the classes
are of one hospital here, so that there is less to be held back from, and more to be seen."""
OURS_MANY: Final = "thorascreen_many"
"""Heads on whole films, several backbones and sizes; their mean. Too slow to be released."""
NETWORKS: Final = (OURS, OURS_STARTED, OURS_HEAD, OURS_WHOLE, OURS_MANY)
HEADS: Final = (OURS_HEAD, OURS_WHOLE)
WHOLE: Final = HeadConfig(view="whole", ridges=(3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003))
"""A thousand films bear a stronger ridge than ten thousand."""
TASKS: Final = ("three_classes", "covid_normal")
PROTOCOLS: Final[tuple[Protocol, ...]] = ("own", "honest")


@dataclass(frozen=True, slots=True)
class Options:
    """What one bench is asked for."""

    seed: int = 1
    minutes: float | None = None
    tiny: bool = False
    half: bool = False
    """Multiply in bfloat16 while training networks."""
    only: tuple[str, ...] = ()
    folds: tuple[int, ...] = ()
    """Some folds; empty for all that the manifest has."""
    tasks: tuple[str, ...] = TASKS
    """What the folds are asked for."""
    start_from: Path | None = None
    """A run of ``bench sources`` without darkcovidnet, for ``OURS_STARTED``."""
    backbone: Path | None = None
    """Weights for ``HEADS``."""
    more_backbones: tuple[Path, ...] = ()
    """Further ones for ``OURS_MANY``, beside ``backbone``."""

    def names(self) -> tuple[str, ...]:
        """The rows of the table that are wanted.

        :raises RecipeError: when one is unknown.
        """
        everything = (
            *recipes.NAMES,
            OURS,
            *((OURS_STARTED,) if self.start_from else ()),
            *((*HEADS, OURS_MANY) if self.backbone else ()),
        )
        unknown = [name for name in self.only if name not in everything]
        if unknown:
            raise RecipeError(f"There is no recipe {unknown[0]!r}; there are {everything}.")
        return tuple(name for name in everything if not self.only or name in self.only)


def bench_recipes(
    manifest: Path, json_file: Path, out: Path, options: Options, report: Report = print
) -> dict[str, Any]:
    """Run what is missing, writing the table's JSON after every cell; returns its content.

    Rows that were not asked for this time are taken from earlier runs in ``out``.
    """
    names = options.names()
    if options.tiny:
        manifest = draw_bench_set(out / "phantoms")
    source = read_source(manifest)
    bench = _Bench(source, manifest, out, options, report)
    for name, label in bench.plan(names):
        report(f"== {name} {label}")
        bench.do(name, label)
        write_json(json_file, bench.table())
    return bench.table()


class _Bench:
    """The cells of one manifest and one set of options."""

    def __init__(
        self, source: Source, manifest: Path, out: Path, options: Options, report: Report
    ) -> None:
        self.source = source
        self.manifest = manifest
        self.out = out
        self.options = options
        self.report = report
        self.cells = Cells(out / "cells")
        self.asked = {"manifest": hash_file(manifest), "seed": options.seed, "tiny": options.tiny}
        self.folds = tuple(sorted(set(source.folds.values())))

    @cached_property
    def heads(self) -> Heads:
        """What fits heads of the released kind; made when the first is asked for."""
        return self._heads(smoke_head() if self.options.tiny else HeadConfig(), self.out)

    @cached_property
    def whole_heads(self) -> Heads:
        """What fits heads on whole films."""
        tiny = replace(smoke_head(), view=WHOLE.view)
        return self._heads(tiny if self.options.tiny else WHOLE, self.out / "whole")

    def _heads(self, config: HeadConfig, folder: Path) -> Heads:
        if self.options.backbone is None:
            raise RecipeError(f"{OURS_HEAD} needs a backbone.")
        return Heads(
            self.manifest,
            self.options.backbone,
            folder / "means.npz",
            self.report,
            config,
            among=self.source.folds,
        )

    @cached_property
    def many_heads(self) -> ManyHeads:
        """What fits a head for each backbone and size."""
        options = self.options
        if options.backbone is None:
            raise RecipeError(f"{OURS_MANY} needs a backbone.")
        return ManyHeads(
            [row for row in self.source.rows if row.name in self.source.folds],
            [options.backbone, *options.more_backbones],
            self.out / "many",
            self.report,
            smoke_many() if options.tiny else None,
        )

    def _heads_of(self, name: str) -> Heads:
        return self.heads if name == OURS_HEAD else self.whole_heads

    def plan(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """The wanted cells, first the recipes, then fold by fold."""
        plain = [
            (name, protocol)
            for name in names
            if name not in NETWORKS and not recipes.get_recipe(name).folds
            for protocol in PROTOCOLS
        ]
        folded = [name for name in names if name in NETWORKS or recipes.get_recipe(name).folds]
        return plain + [
            (name, f"{task}-fold{fold}")
            for task in self.options.tasks
            for fold in self.options.folds or self.folds
            for name in folded
        ]

    def do(self, name: str, label: str) -> None:
        """Compute one cell unless it is there."""
        asked = {**self.asked, "minutes": self.options.minutes}
        if name in HEADS:
            asked |= self._heads_of(name).asked
        elif name == OURS_MANY:
            asked |= self.many_heads.asked
        elif self.options.half:
            asked["half"] = True
        self.cells.get(f"{name}-{label}", asked, lambda: self._compute(name, label))

    def _compute(self, name: str, label: str) -> Cell:
        options = self.options
        common: dict[str, Any] = {
            "seed": options.seed,
            "minutes": options.minutes,
            "tiny": options.tiny,
            "half": options.half,
            "report": self.report,
        }
        task, _, fold = label.partition("-fold")
        if not fold:
            recipe = recipes.get_recipe(name)
            protocol: Protocol = "own" if label == "own" else "honest"
            division = divide(recipe, self.source, protocol, options.seed)
            return self._run(recipe, division, protocol, common)
        recipe = recipes.get_recipe("darkcovidnet")
        if task == "covid_normal":
            recipe = without_pneumonia(recipe)
        if name in HEADS:
            heads = self._heads_of(name)
            return {"recipe": name, **heads.on_fold(recipe, self.source, int(fold), options.seed)}
        if name == OURS_MANY:
            return {"recipe": name, **self.many_heads.on_fold(recipe, self.source, int(fold))}
        if name in NETWORKS:
            common["start_from"] = options.start_from if name == OURS_STARTED else None
            runs = self.out / "runs" / f"{name}-{label}-seed{options.seed}"
            return run_own_network(recipe, self.source, int(fold), runs, **common)
        return self._run(recipe, fold_rows(recipe, self.source, int(fold)), "honest", common)

    def _run(self, recipe: Recipe, division: Any, protocol: Protocol, common: Any) -> Cell:
        _, record = run_recipe(
            recipe,
            division,
            protocol,
            source=self.source,
            cache=self.out / "cache",
            **common,
        )
        return record

    def table(self) -> dict[str, Any]:
        """Everything finished so far."""
        rows: dict[str, Any] = {}
        for name in (*recipes.NAMES, *NETWORKS):
            recipe = None if name in NETWORKS else recipes.get_recipe(name)
            row: dict[str, Any] = {}
            if recipe is not None:
                row = {
                    "summary": recipe.summary,
                    "claims": [asdict(claim) for claim in recipe.claims],
                    "chosen_here": recipe.chosen,
                }
            if recipe is None or recipe.folds:
                row |= {task: self._folds(name, task) for task in TASKS}
            else:
                row |= {protocol: self._known(f"{name}-{protocol}") for protocol in PROTOCOLS}
            rows[name] = row
        return {
            "bench": "recipes",
            "protocols": {
                "own": "split by image, validation = test, the best epoch on it reported",
                "honest": "split by group, epoch picked on val, test split of every source",
            },
            **self.asked,
            "recipes": rows,
        }

    def _known(self, name: str) -> Cell | None:
        """A cell of this manifest, whatever its time limit."""
        cell = self.cells.read(name)
        if cell is None:
            return None
        asked = {key: cell["asked"].get(key) for key in self.asked}
        return cell if asked == self.asked else None

    def _folds(self, name: str, task: str) -> dict[str, Any]:
        found = {fold: self._known(f"{name}-{task}-fold{fold}") for fold in self.folds}
        cells = {fold: cell for fold, cell in found.items() if cell is not None}
        own = [cell["best_watched"] for cell in cells.values() if "best_watched" in cell]
        return {
            "folds_done": len(cells),
            "folds": len(self.folds),
            "own": _mean(own),
            "honest": _mean([cell["figures"] for cell in cells.values()]),
            "test_split": _mean(
                [cell["test_split"] for cell in cells.values() if cell.get("test_split")]
            ),
            "cells": {str(fold): cell for fold, cell in cells.items()},
        }


def _mean(figures: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Means over folds: accuracy in all and for each source, and each class's recall."""
    if not figures:
        return None
    sources = sorted({source for one in figures for source in one["per_source"]})
    return {
        "accuracy": _round(one["accuracy"] for one in figures),
        "macro_f1": _round(one["macro_f1"] for one in figures),
        "recall": {
            label: _round(one["per_class"][label]["sensitivity"] for one in figures)
            for label in CLASSES
        },
        "per_source": {
            source: {
                "accuracy": _round(
                    one["per_source"][source]["accuracy"]
                    for one in figures
                    if source in one["per_source"]
                )
            }
            for source in sources
        },
    }


def _round(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None
