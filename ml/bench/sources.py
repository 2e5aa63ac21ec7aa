"""``python -m ml bench sources``: train without a source, test on it.

The released kind of model, a fresh head for each source on the backbone that is named; or, where
none is, a fresh network of ``ml.network`` by ``ml.train``. Whatever shares a
group with the left-out source, such as a second copy in another collection, stays out of training
and selection too. All pictures of the source are the test, one copy of each, looked at once; the
epoch is picked on the remaining sources' val split. The probabilities are not calibrated: AUCs are
the figures to read, accuracies depend on a threshold that nobody set for the new place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from ml import CLASSES
from ml.bench.cells import Cell, Cells, plain, write_json
from ml.bench.folds import answer_with, has_finished, progress_of, write_manifest
from ml.bench.heads import Heads
from ml.bench.phantoms import draw_bench_set
from ml.data import ManifestError, Row, count_cells, read_manifest, selection_rows, training_rows
from ml.head import smoke_config as smoke_head
from ml.package import hash_file
from ml.recipes.training import Report, score
from ml.train import Config, run_training, smoke_config

PAIRS: Final = (("ieee8023", "darkcovidnet"),)
"""Left out together: COVID-19 of one collection against the normals of another, both unseen."""
NO_FIGURES: Final = "no epoch at full size yet"


@dataclass(frozen=True, slots=True)
class Options:
    """What one bench is asked for."""

    seed: int = 1
    minutes: float | None = None
    """Training time for each source and call; the next call goes on."""
    epochs: int | None = None
    size: int | None = None
    half: bool = False
    tiny: bool = False
    only: tuple[str, ...] = ()
    backbone: Path | None = None
    """Fit heads on this backbone instead of training networks."""

    def config(self) -> Config:
        """The training's settings: the released ones unless told otherwise."""
        if self.tiny:
            return smoke_config(self.seed)
        config = Config(seed=self.seed, half=self.half)
        if self.epochs is not None:
            config = replace(config, epochs=self.epochs)
        if self.size is not None:
            smaller = tuple(size for size in config.small_sizes if size < self.size)
            config = replace(config, size=self.size, small_sizes=smaller)
        return config

    def heads(self, manifest: Path, out: Path, report: Report) -> Heads | None:
        """Where heads are asked for, what fits them."""
        if self.backbone is None:
            return None
        small = smoke_head() if self.tiny else None
        return Heads(manifest, self.backbone, out / "means.npz", report, small)


def bench_sources(
    manifest: Path, json_file: Path, out: Path, options: Options, report: Report = print
) -> dict[str, Any]:
    """Leave out one source after the other; returns, and writes after each, the figures.

    :raises ManifestError: when an asked-for source is not in the manifest.
    """
    if options.tiny:
        manifest = draw_bench_set(out / "phantoms")
    rows = read_manifest(manifest)
    config = options.config()
    cells = Cells(out / "cells")
    heads = options.heads(manifest, out, report)
    asked = {"manifest": hash_file(manifest), "config": plain(asdict(config))}
    if heads is not None:
        asked |= heads.asked
    result: dict[str, Any] = {"bench": "sources", "tiny": options.tiny, **asked, "left_out": {}}
    for left_out in wanted_sources(rows, options.only):
        name = "+".join(left_out)
        report(f"== without {name}")
        where = out / "runs" / f"{name}-seed{config.seed}-size{config.size}-epochs{config.epochs}"

        def compute(left_out: tuple[str, ...] = left_out, where: Path = where) -> Cell:
            if heads is not None:
                return heads.compute(*divide_by_source(rows, left_out))
            return _leave_out(rows, left_out, where, config, options.minutes, report)

        found = cells.read(name)
        if found is not None and found.get("stopped") == "minutes":
            # unfinished: each call gives it more time
            cells.path(name).unlink()
        result["left_out"][name] = cells.get(name, asked, compute)
        write_json(json_file, result)
    return result


def wanted_sources(rows: Sequence[Row], only: Sequence[str]) -> list[tuple[str, ...]]:
    """Every source, then the pairs that the manifest has; or those that are asked for by name."""
    sources = sorted({row.source for row in rows if row.source and row.label in CLASSES})
    pairs = [pair for pair in PAIRS if all(source in sources for source in pair)]
    everything = [*((source,) for source in sources), *pairs]
    if not only:
        return everything
    known = {"+".join(left_out): left_out for left_out in everything}
    if unknown := [name for name in only if name not in known]:
        raise ManifestError(f"No source {unknown[0]!r} to leave out; there are {', '.join(known)}.")
    return [known[name] for name in only]


def divide_by_source(
    rows: Sequence[Row], left_out: Sequence[str]
) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows to learn from, to select on, and to test on, with no group on two sides."""
    outside = [row for row in rows if row.source in left_out and row.label in CLASSES]
    names: set[str] = set()
    test: list[Row] = []
    for row in outside:
        if row.dup_of not in names:  # copies may name each other
            test.append(row)
            names.add(row.name)
    groups = {row.group for row in rows if row.source in left_out and row.group}
    inside = [row for row in rows if row.source not in left_out and row.group not in groups]
    return training_rows(inside), selection_rows(inside), test


def _leave_out(
    rows: Sequence[Row],
    left_out: tuple[str, ...],
    where: Path,
    config: Config,
    minutes: float | None,
    report: Report,
) -> Cell:
    learning, selection, test = divide_by_source(rows, left_out)
    manifest = write_manifest(where / "manifest.csv", {"train": learning, "val": selection})
    run = where / "run"
    if not has_finished(run, config.epochs):
        resume = (run / "config.json").exists()
        run_training(manifest, run, config, resume=resume, minutes=minutes, report=report)
    cell: Cell = {
        "learning": count_cells(learning),
        "selection": count_cells(selection),
        "test": count_cells(test),
        "minutes_a_call": minutes,
        **progress_of(run, config.epochs),
    }
    if not (run / "best.npz").exists():
        return {**cell, "figures": None, "note": NO_FIGURES}
    return {**cell, "figures": score(CLASSES, answer_with(run, test), test)}
