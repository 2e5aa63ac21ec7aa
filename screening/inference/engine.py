"""The one place that looks into the model; everything above sees plain values.

TensorFlow and LiteRT are loaded by the functions here, never by importing this module, so that
web processes stay free of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings

from ml import imaging
from screening.inference.failures import PermanentFailure, TransientFailure
from screening.studies import storage

if TYPE_CHECKING:
    from ml.imaging import DecodedImage
    from ml.lungs import LungSegmenter
    from ml.posture import Posture
    from ml.predict import Prediction, Predictor
    from ml.runtime import RuntimeName
    from ml.shortcut import ShortcutMeter
    from ml.trust import Trust

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

    ``evidence`` says how far the answer can be trusted (``ml.trust.Carried.to_json``): the classes
    that can't be ruled out, the operating point, the shortcut meter. Empty for a model for which
    nothing of the kind was fitted.

    ``receipt`` holds what is needed to compute the answer again and compare: the SHA-256 of the
    input, the model's manifest and weights and the output, and the versions in between.
    """

    model: ModelIdentity
    label: str
    probabilities: dict[str, float]
    heatmap: bytes
    milliseconds: float
    runtime: str
    evidence: dict[str, Any]
    receipt: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Model:
    """A loaded package, and what was fitted for it where anything was."""

    predictor: Predictor
    segmenter: LungSegmenter
    trust: Trust | None = None
    meter: ShortcutMeter | None = None

    def carry(
        self, decoded: DecodedImage, prediction: Prediction, posture: Posture
    ) -> dict[str, Any]:
        if self.trust is None or self.meter is None:
            return {}
        caution = {"code": posture.code, "message": posture.message} if posture.code else None
        return {
            **self.trust.carry(self.meter, decoded, prediction).to_json(),
            "caution": caution,
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """The quality gate's finding that this is no picture to classify, and why."""

    code: str
    message: str


_loaded: tuple[tuple[str, str, int], _Model] | None = None


def warm_up() -> None:
    """Load the model now rather than with the first job.

    A model that can't be loaded is logged here, and every job then fails with the same code.
    """
    try:
        _model()
    except PermanentFailure as failure:
        logger.error("the model was not loaded: %s", failure.code)


def look(name: str, sha256: str) -> Finding | Refusal:
    """Classify the stored file ``name``, which must still be the bytes that were uploaded.

    :raises PermanentFailure, TransientFailure: with a code of ``inference.failures``.
    """
    return _look(_model(), name, sha256)


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

    shipped = MODELS / f"{model_name}-{model_version}"
    places = [place for place in (settings.THORASCREEN_MODEL, shipped) if place]
    for place in places:
        try:
            package = load_package(place)
            if (package.name, package.version) == (model_name, model_version):
                return _look(_open(place, runtime), name, sha256)
        except PackageError as error:
            if error.code != "model_missing":
                raise PermanentFailure(error.code) from error
    raise PermanentFailure("model_missing")


def _look(model: _Model, name: str, sha256: str) -> Finding | Refusal:
    from ml.explain import heatmap_png
    from ml.posture import judge_posture

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
        prediction = model.predictor.predict(decoded)
        quality = prediction.quality
        if not quality.accepted:
            return Refusal(quality.code or "not_a_radiograph", quality.message or "")
        started = time.perf_counter()
        posture = judge_posture(model.segmenter, decoded.pixels)
        if not posture.accepted:
            return Refusal(posture.code or "not_a_radiograph", posture.message or "")
        evidence = model.carry(decoded, prediction, posture)
    except ArithmeticError:
        raise PermanentFailure("no_answer") from None
    further_ms = (time.perf_counter() - started) * 1000.0
    header = decoded.header
    heatmap = heatmap_png(prediction, size=(header.width, header.height))
    return Finding(
        model=_identity(model.predictor),
        label=prediction.label,
        probabilities=dict(prediction.probabilities),
        heatmap=heatmap,
        milliseconds=prediction.milliseconds + further_ms,
        runtime=prediction.runtime,
        evidence=evidence,
        receipt=_receipt(model, sha256, prediction, evidence, heatmap),
    )


def _model() -> _Model:
    """The model of this process. Kept once it loads; a model that failed is tried again.

    The process is part of the key: a network that was loaded before a fork is not used after it.
    """
    from ml.package import PackageError

    global _loaded
    key = (settings.THORASCREEN_MODEL, settings.INFERENCE_RUNTIME, os.getpid())
    if _loaded is None or _loaded[0] != key:
        _loaded = None
        try:
            model = _open(key[0] or None, settings.INFERENCE_RUNTIME)
        except PackageError as error:
            # A loader that was stopped by a limit says nothing about the model.
            if isinstance(error.__cause__, (MemoryError, SoftTimeLimitExceeded)):
                raise error.__cause__ from None
            raise PermanentFailure(error.code) from error
        _loaded = (key, model)
    return _loaded[1]


def _open(place: str | Path | None, runtime: str) -> _Model:
    """Load a package and what was fitted for it. Raises ``PackageError``.

    A package for which nothing was fitted answers without; one whose thresholds are damaged or
    belong to another model is not used at all.
    """
    from ml.lungs import LungSegmenter
    from ml.package import PackageError
    from ml.predict import Predictor
    from ml.trust import load_trust

    predictor = Predictor.load(place, runtime=cast("RuntimeName", runtime))
    segmenter = LungSegmenter.load()
    try:
        trust = load_trust(predictor.package, segmenter)
    except PackageError as error:
        if error.code != "model_missing":
            raise
        logger.warning("the model answers without thresholds of its own: %s", error.message)
        return _Model(predictor, segmenter)
    return _Model(predictor, segmenter, trust, trust.open_meter(predictor, segmenter))


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
    model: _Model,
    input_sha256: str,
    prediction: Prediction,
    evidence: dict[str, Any],
    heatmap: bytes,
) -> dict[str, Any]:
    package = model.predictor.package
    output = {
        "label": prediction.label,
        "probabilities": prediction.probabilities,
        "logits": list(prediction.logits),
        "evidence": evidence,
    }
    return {
        "input_sha256": input_sha256,
        "preprocessing_version": str(package.manifest["preprocessing_version"]),
        "manifest_sha256": _hash_of(package.manifest),
        "files_sha256": package.sha256,
        "calibration_sha256": _hash_of(package.manifest["calibration"]),
        "thresholds_sha256": model.trust.sha256 if model.trust is not None else None,
        "lungs_sha256": model.segmenter.sha256,
        "runtime": prediction.runtime,
        "logits": output["logits"],
        "output_sha256": _hash_of(output),
        "heatmap_sha256": hashlib.sha256(heatmap).hexdigest(),
    }


def _hash_of(value: Any) -> str:
    """SHA-256 of a value written as JSON with sorted keys and no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
