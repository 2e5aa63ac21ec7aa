"""The one place that looks into the model; everything above sees plain values.

TensorFlow and LiteRT are loaded by the functions here, never by importing this module, so that
web processes stay free of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings

from ml import imaging
from screening.inference.failures import PermanentFailure, TransientFailure
from screening.studies import storage

if TYPE_CHECKING:
    from ml.predict import Prediction, Predictor
    from ml.runtime import RuntimeName

logger = logging.getLogger(__name__)

LIMITS = replace(
    imaging.DEFAULT_LIMITS,
    # A decode that the time limit interrupts says nothing about the file.
    interrupts=(*imaging.DEFAULT_LIMITS.interrupts, SoftTimeLimitExceeded),
)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which released package answered."""

    name: str
    version: str
    weights_sha256: str
    preprocessing_version: str
    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """What the model saw. ``probabilities`` are calibrated; ``heatmap`` is an RGBA PNG.

    ``receipt`` holds what is needed to compute the answer again and compare: the SHA-256 of the
    input, the model's manifest and weights and the output, and the versions in between.
    """

    model: ModelIdentity
    label: str
    probabilities: dict[str, float]
    heatmap: bytes
    milliseconds: float
    runtime: str
    receipt: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The quality gate's finding that this is no picture to classify, and why."""

    code: str
    message: str


_loaded: tuple[tuple[str, str, int], Predictor] | None = None


def warm_up() -> None:
    """Load the model now rather than with the first job.

    A model that can't be loaded is logged here, and every job then fails with the same code.
    """
    try:
        _predictor()
    except PermanentFailure as failure:
        logger.error("the model was not loaded: %s", failure.code)


def look(name: str, sha256: str) -> Finding | Refusal:
    """Classify the stored file ``name``, which must still be the bytes that were uploaded.

    :raises PermanentFailure, TransientFailure: with a code of ``inference.failures``.
    """
    return _look(_predictor(), name, sha256)


def look_again(
    name: str, sha256: str, *, model_name: str, model_version: str, runtime: str
) -> Finding | Refusal:
    """Classify a stored file with the released package that answered before, not with today's.

    The package is the installed one where it is that very version, else the one of that name
    and version that ships with the product.

    :raises PermanentFailure, TransientFailure: as ``look``; ``model_missing`` when that version
        is not installed any more.
    """
    from ml.package import MODELS, PackageError, load_package
    from ml.predict import Predictor

    shipped = MODELS / f"{model_name}-{model_version}"
    places = [place for place in (settings.THORASCREEN_MODEL, shipped) if place]
    for place in places:
        try:
            package = load_package(place)
            if (package.name, package.version) == (model_name, model_version):
                predictor = Predictor.load(place, runtime=cast("RuntimeName", runtime))
                return _look(predictor, name, sha256)
        except PackageError as error:
            if error.code != "model_missing":
                raise PermanentFailure(error.code) from error
    raise PermanentFailure("model_missing")


def _look(predictor: Predictor, name: str, sha256: str) -> Finding | Refusal:
    from ml.explain import heatmap_png

    data = _read(name)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise PermanentFailure("image_changed")
    try:
        decoded = imaging.decode(data, LIMITS)
    except imaging.ImagingError:
        # These very bytes decoded when they came in. Libraries swallow interruptions now and
        # then and take the file for damaged; so once is no proof.
        raise TransientFailure("corrupt_image") from None
    try:
        prediction = predictor.predict(decoded)
    except ArithmeticError:
        raise PermanentFailure("no_answer") from None
    quality = prediction.quality
    if not quality.accepted:
        return Refusal(quality.code or "not_a_radiograph", quality.message or "")
    header = decoded.header
    heatmap = heatmap_png(prediction, size=(header.width, header.height))
    return Finding(
        model=_identity(predictor),
        label=prediction.label,
        probabilities=dict(prediction.probabilities),
        heatmap=heatmap,
        milliseconds=prediction.milliseconds,
        runtime=prediction.runtime,
        receipt=_receipt(predictor, sha256, prediction, heatmap),
    )


def _predictor() -> Predictor:
    """The model of this process. Kept once it loads; a model that failed is tried again.

    The process is part of the key: a network that was loaded before a fork is not used after it.
    """
    from ml.package import PackageError
    from ml.predict import Predictor

    global _loaded
    key = (settings.THORASCREEN_MODEL, settings.INFERENCE_RUNTIME, os.getpid())
    if _loaded is None or _loaded[0] != key:
        _loaded = None
        try:
            runtime = cast("RuntimeName", settings.INFERENCE_RUNTIME)
            predictor = Predictor.load(key[0] or None, runtime=runtime)
        except PackageError as error:
            # A loader that was stopped by a limit says nothing about the model.
            if isinstance(error.__cause__, (MemoryError, SoftTimeLimitExceeded)):
                raise error.__cause__ from None
            raise PermanentFailure(error.code) from error
        _loaded = (key, predictor)
    return _loaded[1]


def _read(name: str) -> bytes:
    try:
        return storage.read(name)
    except FileNotFoundError:
        raise PermanentFailure("image_missing") from None
    except OSError:
        raise TransientFailure("storage_unavailable") from None


def _identity(predictor: Predictor) -> ModelIdentity:
    """Name the package by its reference network, whichever runtime answered."""
    package = predictor.package
    return ModelIdentity(
        name=package.name,
        version=package.version,
        weights_sha256=package.sha256[package.keras_path.name],
        preprocessing_version=str(package.manifest["preprocessing_version"]),
        manifest=package.manifest,
    )


def _receipt(
    predictor: Predictor, input_sha256: str, prediction: Prediction, heatmap: bytes
) -> dict[str, Any]:
    package = predictor.package
    output = {
        "label": prediction.label,
        "probabilities": prediction.probabilities,
        "logits": list(prediction.logits),
    }
    return {
        "input_sha256": input_sha256,
        "preprocessing_version": str(package.manifest["preprocessing_version"]),
        "manifest_sha256": _hash_of(package.manifest),
        "files_sha256": package.sha256,
        "calibration_sha256": _hash_of(package.manifest["calibration"]),
        "runtime": prediction.runtime,
        "logits": output["logits"],
        "output_sha256": _hash_of(output),
        "heatmap_sha256": hashlib.sha256(heatmap).hexdigest(),
    }


def _hash_of(value: Any) -> str:
    """SHA-256 of a value written as JSON with sorted keys and no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
