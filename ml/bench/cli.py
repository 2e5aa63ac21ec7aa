"""``python -m ml bench recipes | baselines | sources | ceiling``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ml.recipes.cli import fail


def add_bench(commands: Any, default_manifest: Path) -> None:
    """Add the command ``bench`` with its benches."""
    parser = commands.add_parser("bench", help="recipes, shortcut baselines, unseen sources")
    benches = parser.add_subparsers(required=True, metavar="BENCH")
    recipes = benches.add_parser("recipes", help="claimed, own and honest figures side by side")
    _common(recipes, default_manifest)
    _training(recipes)
    recipes.add_argument("--half", action="store_true", help="multiply in bfloat16")
    recipes.add_argument("--fold", type=int, action="append", help="only this fold; repeatable")
    recipes.add_argument(
        "--task", choices=("three_classes", "covid_normal"), help="only this task of the folds"
    )
    recipes.add_argument(
        "--start-from",
        type=Path,
        metavar="RUN",
        help="also our network on the folds, begun with the weights of a run of `bench sources` "
        "that left darkcovidnet out",
    )
    _backbone(recipes, "also heads on this backbone, on the folds")
    recipes.add_argument(
        "--more-backbones",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="for thorascreen_many, beside --backbone; repeatable",
    )
    recipes.set_defaults(run=_recipes)
    baselines = benches.add_parser("baselines", help="what a thumbnail or the border gives away")
    _common(baselines, default_manifest)
    baselines.set_defaults(run=_baselines)
    sources = benches.add_parser("sources", help="train without a source, test on it")
    _common(sources, default_manifest)
    _training(sources)
    sources.add_argument("--epochs", type=int, help="default: as released")
    sources.add_argument("--size", type=int, help="default: as released")
    sources.add_argument("--half", action="store_true", help="multiply in bfloat16")
    _backbone(sources, "heads on this backbone, as released, instead of networks from scratch")
    sources.set_defaults(run=_sources)
    ceiling = benches.add_parser(
        "ceiling", help="how right anyone can be on the folds of DarkCovidNet"
    )
    _common(ceiling, default_manifest)
    _backbone(ceiling, "what the heads stand on", required=True)
    ceiling.set_defaults(run=_ceiling)


def _common(parser: argparse.ArgumentParser, default_manifest: Path) -> None:
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: beside the JSON file")
    parser.add_argument("--manifest", type=Path, default=default_manifest, metavar="CSV")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="seconds on phantoms, to test the code")


def _training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="repeatable")
    parser.add_argument("--minutes-each", type=float, metavar="M", help="training time a cell")


def _backbone(parser: argparse.ArgumentParser, words: str, *, required: bool = False) -> None:
    parser.add_argument("--backbone", type=Path, required=required, metavar="FILE", help=words)


def _folder(options: argparse.Namespace) -> Path:
    beside: Path = options.json.with_suffix("")
    return options.out or beside.with_name(beside.name + "-cells")


def _recipes(options: argparse.Namespace) -> int:
    from ml.bench.recipes import TASKS, Options, bench_recipes
    from ml.bench.tables import recipes_table

    def run() -> str:
        asked = Options(
            seed=options.seed,
            minutes=options.minutes_each,
            tiny=options.tiny,
            half=options.half,
            only=tuple(options.only),
            folds=tuple(options.fold or ()),
            tasks=(options.task,) if options.task else TASKS,
            start_from=options.start_from,
            backbone=options.backbone,
            more_backbones=tuple(options.more_backbones),
        )
        result = bench_recipes(options.manifest, options.json, _folder(options), asked)
        return recipes_table(result)

    return _print(run)


def _baselines(options: argparse.Namespace) -> int:
    from ml.bench.baselines import bench_baselines
    from ml.bench.tables import baselines_table

    def run() -> str:
        result = bench_baselines(
            options.manifest, options.json, _folder(options), seed=options.seed, tiny=options.tiny
        )
        return baselines_table(result)

    return _print(run)


def _sources(options: argparse.Namespace) -> int:
    from ml.bench.sources import Options, bench_sources
    from ml.bench.tables import sources_table

    def run() -> str:
        asked = Options(
            seed=options.seed,
            minutes=options.minutes_each,
            epochs=options.epochs,
            size=options.size,
            half=options.half,
            tiny=options.tiny,
            only=tuple(options.only),
            backbone=options.backbone,
        )
        result = bench_sources(options.manifest, options.json, _folder(options), asked)
        return sources_table(result)

    return _print(run)


def _ceiling(options: argparse.Namespace) -> int:
    from ml.bench.ceiling import bench_ceiling
    from ml.bench.tables import ceiling_table

    def run() -> str:
        result = bench_ceiling(
            options.manifest,
            options.json,
            _folder(options),
            options.backbone,
            seed=options.seed,
            tiny=options.tiny,
        )
        return ceiling_table(result)

    return _print(run)


def _print(run: Any) -> int:
    """Print a bench's table, or in one sentence why there is none."""
    from ml.data import ManifestError
    from ml.imaging import ImagingError
    from ml.lite_weights import BackboneError
    from ml.recipes.protocol import RecipeError
    from ml.train import TrainingError

    try:
        print(run())
    except (ManifestError, ImagingError, RecipeError, TrainingError, BackboneError) as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.filename}: cannot be used ({error.strerror}).")
    return 0
