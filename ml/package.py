"""A released model: a folder with weights, everything needed to use them, and hashes over it all.

``manifest.json``  name, version, classes in order, input, preprocessing version, calibration,
                   sha256 of every other file, data description, figures, limits
``model.keras``    the reference network
``model.tflite``   the same weights for the serving runtime
``gate.npz``       statistics and thresholds of the quality gate
``trust.json``     what was fitted for the released network afterwards: its operating points and
                   other thresholds (``ml.trust``); a package may lack it

A package is used whole or not at all. There is no fallback model. Several versions may lie side by
side, each in a folder of its own on a shelf such as ``ml/models``.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ml import CLASSES
from ml.calibrate import Calibration
from ml.preprocess import PREPROCESSING_VERSION

MODELS: Final = Path(__file__).parent / "models"
ACTIVE: Final = MODELS / "active.json"
MANIFEST: Final = "manifest.json"
KERAS_FILE: Final = "model.keras"
LITERT_FILE: Final = "model.tflite"
GATE_FILE: Final = "gate.npz"
FILES: Final = (KERAS_FILE, LITERT_FILE, GATE_FILE)
THRESHOLDS_FILE: Final = "trust.json"
MODEL_VARIABLE: Final = "THORASCREEN_MODEL"

View = Literal["whole", "lungs"]
"""What of a picture a network is shown; see ``ml.view``."""
VIEWS: Final[tuple[View, ...]] = ("whole", "lungs")

PackageCode = Literal[
    "model_missing", "model_hash_mismatch", "model_invalid", "model_preprocessing_mismatch"
]


class PackageError(Exception):
    """A model that may not be used. ``code`` is stable, ``message`` is one sentence for people."""

    def __init__(self, code: PackageCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code: PackageCode = code
        self.message = message

    def __reduce__(self) -> tuple[type[PackageError], tuple[PackageCode, str]]:
        """Let the error cross from one process to another whole."""
        return type(self), (self.code, self.message)


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A package whose files have been found and whose hashes have been checked."""

    path: Path
    name: str
    version: str
    size: int
    """Side of the square input in pixels."""
    view: View
    """What of a picture the network is shown."""
    lungs_sha256: str | None
    """Of the segmenter that finds the lungs for the view ``lungs``."""
    calibration: Calibration
    sha256: dict[str, str]
    """Hash of each file beside the manifest."""
    manifest: dict[str, Any]

    @property
    def keras_path(self) -> Path:
        return self.path / KERAS_FILE

    @property
    def litert_path(self) -> Path:
        return self.path / LITERT_FILE

    @property
    def gate_path(self) -> Path:
        return self.path / GATE_FILE


def default_path() -> Path:
    """The package in use: the folder in ``THORASCREEN_MODEL``, else what ``active.json`` names.

    :raises PackageError: ``model_missing`` or ``model_invalid``.
    """
    if chosen := os.environ.get(MODEL_VARIABLE):
        return Path(chosen)
    try:
        name = json.loads(ACTIVE.read_text(encoding="utf-8"))["package"]
    except OSError:
        raise PackageError("model_missing", "No model has been released yet.") from None
    except (ValueError, KeyError, TypeError):
        raise PackageError("model_invalid", "The list of released models is damaged.") from None
    if not isinstance(name, str) or Path(name).name != name:
        raise PackageError("model_invalid", "The list of released models is damaged.")
    return MODELS / name


def load_package(path: Path | str | None = None) -> ModelPackage:
    """Find a package and check every byte of it.

    :param path: the package's folder; None for the one in use.
    :raises PackageError: ``model_missing`` when a file is not there, ``model_hash_mismatch`` when
        one has changed, ``model_preprocessing_mismatch`` when this code prepares pictures
        differently from how the model was trained, ``model_invalid`` for any other damage.
    """
    folder = Path(path) if path is not None else default_path()
    manifest = _read_manifest(folder)
    try:
        hashes = {str(name): str(value) for name, value in manifest["sha256"].items()}
        classes = tuple(manifest["classes"])
        preprocessing = int(manifest["preprocessing_version"])
        calibration = Calibration(
            temperature=float(manifest["calibration"]["temperature"]),
            bias=tuple(float(value) for value in manifest["calibration"]["bias"]),
        )
        package = ModelPackage(
            path=folder,
            name=str(manifest["name"]),
            version=str(manifest["version"]),
            size=int(manifest["input"]["size"]),
            view=manifest["input"].get("view", "whole"),
            lungs_sha256=manifest["input"].get("lungs_sha256"),
            calibration=calibration,
            sha256=hashes,
            manifest=manifest,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PackageError("model_invalid", "The model's manifest is incomplete.") from None
    if (
        classes != CLASSES
        or len(calibration.bias) != len(CLASSES)
        or calibration.temperature <= 0
        or package.view not in VIEWS
    ):
        raise PackageError("model_invalid", "The model's manifest does not fit this program.")
    if preprocessing != PREPROCESSING_VERSION:
        raise PackageError(
            "model_preprocessing_mismatch",
            f"The model was trained with preprocessing {preprocessing}, "
            f"this program has {PREPROCESSING_VERSION}.",
        )
    for name in FILES:
        _check_file(folder / name, hashes.get(name))
    return package


def find_packages(*shelves: Path) -> list[Path]:
    """The folders of classifiers on the shelves, in the order of their names; nothing is checked.

    A folder whose manifest can't be read is among them: it may be a damaged classifier. One whose
    manifest names no classes is something else, the lung segmenter for one.
    """
    found = []
    for shelf in shelves:
        for manifest in sorted(shelf.glob(f"*/{MANIFEST}")):
            try:
                content = json.loads(manifest.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                content = None
            if not isinstance(content, dict) or "classes" in content:
                found.append(manifest.parent)
    return found


def fingerprint(package: ModelPackage, thresholds_sha256: str | None) -> str:
    """SHA-256 over all that shapes an answer of the package, and nothing else.

    Two packages with the same fingerprint give the same answers; figures, notes and limits in the
    manifest may differ.

    :param thresholds_sha256: hash of ``trust.json``; None for a package without.
    """
    shaping: dict[str, Any] = {
        "name": package.name,
        "version": package.version,
        "classes": list(CLASSES),
        "size": package.size,
        "preprocessing_version": PREPROCESSING_VERSION,
        "calibration": [package.calibration.temperature, *package.calibration.bias],
        "files": package.sha256,
        "thresholds": thresholds_sha256,
    }
    if package.view != "whole":  # said of newer models only, so that older ones keep their mark
        shaping |= {"view": package.view, "lungs": package.lungs_sha256}
    text = json.dumps(shaping, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError:
        raise PackageError(
            "model_missing", f"There is no model package {folder.name!r}; install it again."
        ) from None
    except ValueError:
        raise PackageError("model_invalid", "The model's manifest is damaged.") from None
    if not isinstance(manifest, dict):
        raise PackageError("model_invalid", "The model's manifest is damaged.")
    return manifest


def _check_file(path: Path, expected: str | None) -> None:
    try:
        actual = hash_file(path)
    except OSError:
        raise PackageError(
            "model_missing", f"The model's file {path.name} is missing; install the model again."
        ) from None
    if actual != expected:
        raise PackageError(
            "model_hash_mismatch",
            f"The model's file {path.name} is not the one released; install the model again.",
        )
