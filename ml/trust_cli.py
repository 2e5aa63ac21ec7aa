"""``python -m ml lungs``, ``trust`` and ``pointing``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def add_trust(commands: Any, manifest: Path) -> None:
    """Add the commands.

    :param manifest: the default manifest.
    """
    lungs = commands.add_parser("lungs", help="train the lung segmenter, or show what it finds")
    actions = lungs.add_subparsers(required=True, metavar="ACTION")
    train = actions.add_parser("train", help="from the outlines beside a manifest")
    train.add_argument("--manifest", type=Path, default=manifest, metavar="CSV")
    train.add_argument("--out", type=Path, required=True, help="the package's folder, a new one")
    train.add_argument("--version", default="1.0.0")
    train.add_argument("--seed", type=int, default=1)
    train.set_defaults(run=_run_lungs_train)
    show = actions.add_parser("show", help="say what is found in pictures, and lay it over one")
    show.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    show.add_argument("--out", type=Path, metavar="PNG", help="the first picture, lungs in red")
    show.set_defaults(run=_run_lungs_show)

    trust = commands.add_parser("trust", help="what each answer carries: fit, report or measure")
    trust.add_argument(
        "action",
        choices=("fit", "report", "measure"),
        help="fit it into the package on val; report how it did there; measure it on other rows",
    )
    trust.add_argument("--split", metavar="NAME", help="measure: only rows of this split")
    trust.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    trust.add_argument("--manifest", type=Path, default=manifest, metavar="CSV")
    trust.add_argument("--package", type=Path, metavar="DIR", help="default: the one in use")
    trust.set_defaults(run=_run_trust)

    pointing = commands.add_parser("pointing", help="score heatmaps against outlined opacities")
    pointing.add_argument("--manifest", type=Path, default=manifest, metavar="CSV")
    pointing.add_argument("--package", type=Path, metavar="DIR", help="default: the one in use")
    pointing.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    pointing.set_defaults(run=_run_pointing)


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def _run_lungs_train(options: argparse.Namespace) -> int:
    from ml.data import ManifestError
    from ml.imaging import ImagingError
    from ml.lungs_train import LungConfig, train_lungs

    try:
        train_lungs(options.manifest, options.out, LungConfig(seed=options.seed), options.version)
    except (ManifestError, ImagingError) as error:
        return _fail(str(error))
    except FileExistsError:
        return _fail(f"{options.out} is already there: choose another folder.")
    return 0


def _run_lungs_show(options: argparse.Namespace) -> int:
    from ml.imaging import ImagingError, decode
    from ml.lungs import LungSegmenter, overlay
    from ml.package import PackageError
    from ml.posture import judge_posture

    try:
        segmenter = LungSegmenter.load()
    except PackageError as error:
        return _fail(f"{error.code}: {error.message}")
    failed = False
    for number, path in enumerate(options.images):
        try:
            decoded = decode(path.read_bytes())
        except (ImagingError, OSError) as error:
            failed = True
            print(f"{path}: {error}", file=sys.stderr)
            continue
        posture = judge_posture(segmenter, decoded.pixels)
        shares = ", ".join(f"{key} {value:.3f}" for key, value in posture.lungs.measures.items())
        print(f"{path}: {posture.message or 'Lungs found.'} ({shares})")
        if options.out is not None and number == 0:
            overlay(decoded.pixels, posture.lungs).save(options.out)
    return int(failed)


def _run_trust(options: argparse.Namespace) -> int:
    from ml.data import ManifestError
    from ml.lungs import LungSegmenter
    from ml.package import PackageError
    from ml.predict import Predictor
    from ml.trust import fit_trust, load_trust, measure_trust

    try:
        predictor = Predictor.load(options.package)
        segmenter = LungSegmenter.load()
        if options.action == "fit":
            print(f"written: {fit_trust(options.manifest, predictor, segmenter)}")
        if options.action == "measure":
            result = measure_trust(options.manifest, options.split, predictor, segmenter)
        else:
            result = load_trust(predictor.package, segmenter).report
    except PackageError as error:
        return _fail(f"{error.code}: {error.message}")
    except ManifestError as error:
        return _fail(str(error))
    return _tell(result, options.json)


def _run_pointing(options: argparse.Namespace) -> int:
    from ml.data import ManifestError
    from ml.lungs import LungSegmenter
    from ml.package import PackageError
    from ml.pointing import score_pointing
    from ml.predict import Predictor

    try:
        result = score_pointing(
            options.manifest, Predictor.load(options.package), LungSegmenter.load()
        )
    except PackageError as error:
        return _fail(f"{error.code}: {error.message}")
    except ManifestError as error:
        return _fail(str(error))
    return _tell(result, options.json)


def _tell(result: dict[str, Any], file: Path | None) -> int:
    """Print figures, and write them to a file where one is named."""
    text = json.dumps(result, indent=2)
    print(text)
    if file is not None:
        try:
            file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            return _fail(f"{file}: cannot be written ({error.strerror}).")
    return 0
