"""``python -m ml recipes``, and what ``train --recipe`` and ``predict --recipe`` do."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def fail(message: str) -> int:
    """Say it and leave with status 1."""
    print(message, file=sys.stderr)
    return 1


def add_recipes(commands: Any) -> None:
    """Add the command ``recipes``."""
    parser = commands.add_parser("recipes", help="list the systems this project came from")
    parser.set_defaults(run=_run_recipes)


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """What ``train`` takes for a recipe."""
    group = parser.add_argument_group("recipes", "train a named recipe instead; see: recipes")
    group.add_argument("--recipe", metavar="NAME")
    group.add_argument("--protocol", choices=("own", "honest"), default="honest")
    group.add_argument("--tiny", action="store_true", help="seconds on phantoms, to test the code")


def add_predict_options(parser: argparse.ArgumentParser) -> None:
    """What ``predict`` takes for a recipe."""
    group = parser.add_argument_group("recipes", "answer with a trained recipe instead")
    group.add_argument("--recipe", metavar="NAME")
    group.add_argument("--image", type=Path, action="append", default=[], metavar="FILE")
    group.add_argument("--run", dest="run_folder", type=Path, metavar="DIR")


def _run_recipes(options: argparse.Namespace) -> int:
    from ml.recipes import all_recipes

    for recipe in all_recipes():
        claims = "; ".join(claim.words for claim in recipe.claims) or "nothing"
        print(f"{recipe.name:<16} {recipe.summary}")
        print(f"{'':<16} claimed: {claims}")
        print(f"{'':<16} chosen here: {recipe.chosen}")
    return 0


def run_train(options: argparse.Namespace) -> int:
    """``train --recipe``."""
    from ml.bench.phantoms import draw_bench_set
    from ml.data import ManifestError
    from ml.imaging import ImagingError
    from ml.recipes import runs
    from ml.recipes.protocol import RecipeError

    for name in ("epochs", "size", "start_from", "peak_rate"):
        if getattr(options, name, None) is not None:
            return fail(f"--{name.replace('_', '-')} is a recipe's own: leave it out.")
    if options.resume or options.smoke:
        return fail("A recipe knows --tiny, and neither --resume nor --smoke.")
    out = options.out or runs.RUNS / options.recipe
    try:
        manifest = draw_bench_set(out / "phantoms") if options.tiny else options.manifest
        record = runs.train_recipe(
            options.recipe,
            manifest,
            out,
            protocol=options.protocol,
            seed=options.seed,
            minutes=options.minutes,
            tiny=options.tiny,
            half=options.half,
        )
    except (ManifestError, ImagingError, RecipeError) as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.filename}: cannot be used ({error.strerror}).")
    figures = record["figures"]
    print(
        f"{record['recipe']}, {record['protocol']} protocol, {record['epochs_reached']:g} of "
        f"{record['epochs_asked']} epochs: accuracy {figures['accuracy']:.3f} on "
        f"{figures['n']} pictures. Kept in {out}."
    )
    return 0


def run_predict(options: argparse.Namespace) -> int:
    """``predict --recipe``: the class of each picture, and nothing else, on a line of its own."""
    from ml.imaging import ImagingError
    from ml.recipes import runs
    from ml.recipes.protocol import RecipeError

    images = [*options.images, *options.image]
    if not images:
        return fail("Which picture? Name it with --image FILE.")
    try:
        run = options.run_folder or runs.RUNS / options.recipe
        trained = runs.TrainedRecipe.load(options.recipe, run)
    except RecipeError as error:
        return fail(str(error))
    failed = False
    for path in images:
        try:
            chances = trained.classify(path.read_bytes())
        except (ImagingError, RecipeError) as error:
            failed = bool(fail(f"{path}: {error}"))
        except OSError as error:
            failed = bool(fail(f"{path}: cannot be read ({error.strerror})."))
        else:
            label = next(iter(chances))
            line = {"path": str(path), "label": label, "probabilities": chances}
            print(json.dumps(line, ensure_ascii=False) if options.json else label)
    return int(failed)
