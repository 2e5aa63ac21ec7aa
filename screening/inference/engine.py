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
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings

from ml import imaging
from screening.core.sealing import KeyMissing, SealBroken
from screening.inference import packages
from screening.inference.failures import PermanentFailure, TransientFailure
from screening.inference.packages import Exact
from screening.studies import decoding, storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.imaging import DecodedImage
    from ml.lungs import LungSegmenter
    from ml.package import PackageCode
    from ml.posture import Posture
    from ml.predict import Prediction, Predictor
    from ml.runtime import RuntimeName
    from ml.shortcut import ShortcutMeter
    from ml.trust import Trust
    from screening.inference.points import SitePoint

logger = logging.getLogger(__name__)

NOT_OPENED: dict[decoding.TroubleCode, str] = {
    "decoder_died": "worker_lost",
    "decode_timeout": "timed_out",
    "decoder_busy": "timed_out",
    "out_of_memory": "out_of_memory",
}
"""What a job says where no decoder could open its image."""


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
    """What the model saw. ``probabilities`` are calibrated.

    ``heatmap`` is a PNG with a transparent palette, empty where none was asked for.

    ``evidence`` says how far the answer can be trusted (``ml.trust.Carried.to_json``): the classes
    that can't be ruled out, the operating point, the shortcut meter. Empty for a model for which
    nothing of the kind was fitted. Its ``lung_outline`` (``ml.outline``) is for viewers only and
    takes no part in the receipt.

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


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """A loaded package, and what was fitted for it where anything was."""

    exact: Exact
    predictor: Predictor
    segmenter: LungSegmenter
    trust: Trust | None = None
    meter: ShortcutMeter | None = None

    def carry(
        self,
        decoded: DecodedImage,
        prediction: Prediction,
        posture: Posture,
        site_point: SitePoint | None,
    ) -> dict[str, Any]:
        from ml.quality import UNFAMILIAR

        if self.trust is None or self.meter is None:
            return {}
        caution = None
        if posture.code:
            caution = {"code": posture.code, "message": posture.message}
        elif prediction.quality.unfamiliar:
            caution = {"code": "unfamiliar", "message": UNFAMILIAR}
        point = self.trust.tables["covid"].at(site_point.threshold) if site_point else None
        carried = self.trust.carry(self.meter, decoded, prediction, point).to_json()
        if site_point is not None:
            # Nothing is noted for the package's own point, so that older receipts stay as they are.
            carried["operating_point"]["origin"] = site_point.origin
        return {**carried, "caution": caution}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The quality gate's finding that this is no picture to classify, and why."""

    code: str
    message: str


KEPT = 4
"""So many models stay loaded in a process: those in use at two sites, and their candidates. With
more in use at once the least recently used one is loaded again when its turn comes."""
_kept: OrderedDict[tuple[object, ...], _Model] = OrderedDict()


def warm_up(wanted: Iterable[Exact | None] = (None,)) -> None:
    """Load models now rather than with the first job; None stands for the default.

    A model that can't be loaded is logged here, and every job then fails with the same code.
    """
    for exact in wanted:
        try:
            _model(exact)
        except PermanentFailure as failure:
            logger.error("the model was not loaded: %s (%s)", failure.code, exact or "the default")


def look(
    name: str,
    sha256: str,
    wanted: Exact | None = None,
    *,
    with_heatmap: bool = True,
    choose_point: Callable[[ModelIdentity], SitePoint | None] | None = None,
) -> Finding | Refusal:
    """Classify the stored file ``name``, which must still be the bytes that were uploaded.

    ``wanted`` is the very package that must answer, None the installation's default; nothing else
    ever answers in its place. ``choose_point`` is asked for the site's operating point once it is
    known which model answers.

    :raises PermanentFailure, TransientFailure: with a code of ``inference.failures``.
    """
    return _look(_model(wanted), name, sha256, choose_point, with_heatmap=with_heatmap)


def look_again(
    name: str,
    sha256: str,
    *,
    model_name: str,
    model_version: str,
    runtime: str,
    files_sha256: dict[str, str] | None = None,
    point: SitePoint | None = None,
) -> Finding | Refusal:
    """Classify a stored file with the released package that answered before, not with today's.

    ``point`` is the site's operating point of that answer, None where it was the package's.

    ``files_sha256`` is from the receipt: where several packages bear that name and version, the
    one with these files is taken.

    :raises PermanentFailure, TransientFailure: as ``look``; ``model_missing`` when that version
        is not installed any more.
    """
    from ml.package import PackageError

    found: _Model | None = None
    trouble = "model_missing"
    for folder in packages.named(model_name, model_version):
        try:
            model = _open(folder, runtime)
        except PackageError as error:
            trouble = error.code
            continue
        if found is None or model.predictor.package.sha256 == files_sha256:
            found = model
    if found is None:
        raise PermanentFailure(trouble)
    return _look(found, name, sha256, lambda _model: point)


def _look(
    model: _Model,
    name: str,
    sha256: str,
    choose_point: Callable[[ModelIdentity], SitePoint | None] | None,
    *,
    with_heatmap: bool = True,
) -> Finding | Refusal:
    from ml.explain import heatmap_png
    from ml.outline import lung_outline
    from ml.posture import judge_posture, refusal

    data = _read(name)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise PermanentFailure("image_changed")
    try:
        decoded = decoding.decode(data)
    except imaging.ImagingError:
        # These very bytes decoded when they came in, so once is no proof.
        raise TransientFailure("corrupt_image") from None
    except decoding.Trouble as trouble:
        logger.warning("an image was not opened: %s", trouble.code)
        raise TransientFailure(NOT_OPENED[trouble.code]) from None
    try:
        prediction = model.predictor.predict(decoded)
        started = time.perf_counter()
        posture = judge_posture(model.segmenter, decoded.pixels, prediction.lungs)
        if refused := refusal(prediction.quality, posture):
            return Refusal(*refused)
        point = choose_point(_identity(model.predictor)) if choose_point is not None else None
        evidence = model.carry(decoded, prediction, posture, point)
    except ArithmeticError:
        raise PermanentFailure("no_answer") from None
    further_ms = (time.perf_counter() - started) * 1000.0
    header = decoded.header
    outline = {"lung_outline": lung_outline(posture.lungs)} if evidence else {}
    heatmap = b""
    if with_heatmap:
        heatmap = heatmap_png(prediction, size=(header.width, header.height))
    return Finding(
        model=_identity(model.predictor),
        label=prediction.label,
        probabilities=dict(prediction.probabilities),
        heatmap=heatmap,
        milliseconds=prediction.milliseconds + further_ms,
        runtime=prediction.runtime,
        evidence={**evidence, **outline},
        receipt=_receipt(model, sha256, prediction, evidence, heatmap),
    )


def _model(wanted: Exact | None) -> _Model:
    """The wanted model. Kept once it loads; a model that failed is tried again.

    The process is part of the key: a network that was loaded before a fork is not used after it.
    """
    from ml.package import PackageError

    process = (settings.INFERENCE_RUNTIME, os.getpid())
    key = (wanted or settings.THORASCREEN_MODEL, *process)
    if key not in _kept:
        for old in [one for one in _kept if one[1:] != process]:
            del _kept[old]
        try:
            _kept[key] = _load(wanted)
        except PackageError as error:
            # A loader that was stopped by a limit says nothing about the model.
            if isinstance(error.__cause__, (MemoryError, SoftTimeLimitExceeded)):
                raise error.__cause__ from None
            raise PermanentFailure(error.code) from error
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def _load(wanted: Exact | None) -> _Model:
    """Open the default package, or the wanted one and no other. Raises ``PackageError``."""
    from ml.package import PackageError

    for model in _kept.values():
        if model.exact == wanted:  # The default may have been promoted as well.
            return model
    if wanted is None:
        model = _open(settings.THORASCREEN_MODEL or None, settings.INFERENCE_RUNTIME)
        same = (kept for kept in _kept.values() if kept.exact == model.exact)
        return next(same, model)
    package = packages.find(wanted)
    if not package.usable:
        raise PackageError(cast("PackageCode", package.code), package.message)
    model = _open(package.folder, settings.INFERENCE_RUNTIME)
    if model.exact != wanted:
        raise PackageError("model_hash_mismatch", packages.CHANGED_MESSAGE)
    return model


def _open(place: str | Path | None, runtime: str) -> _Model:
    """Load a package and what was fitted for it. Raises ``PackageError``.

    A package for which nothing was fitted answers without; one whose thresholds are damaged or
    belong to another model is not used at all.
    """
    from ml.lungs import LungSegmenter
    from ml.package import PackageError, fingerprint
    from ml.predict import Predictor
    from ml.trust import load_trust

    segmenter = LungSegmenter.load()
    predictor = Predictor.load(place, runtime=cast("RuntimeName", runtime), segmenter=segmenter)
    package = predictor.package
    trust, meter = None, None
    try:
        trust = load_trust(package, segmenter)
    except PackageError as error:
        if error.code != "model_missing":
            raise
        logger.warning("the model answers without thresholds of its own: %s", error.message)
    else:
        meter = trust.open_meter(predictor, segmenter)
    mark = fingerprint(package, trust.sha256 if trust is not None else None)
    return _Model(Exact(package.name, package.version, mark), predictor, segmenter, trust, meter)


def _read(name: str) -> bytes:
    try:
        return storage.read(name)
    except FileNotFoundError:
        raise PermanentFailure("image_missing") from None
    except KeyMissing as error:
        raise TransientFailure(error.code) from None
    except SealBroken as error:
        raise PermanentFailure(error.code) from None
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
        "heatmap_sha256": hashlib.sha256(heatmap).hexdigest() if heatmap else None,
    }


def _hash_of(value: Any) -> str:
    """SHA-256 of a value written as JSON with sorted keys and no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
