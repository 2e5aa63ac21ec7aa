"""The one place that looks into the model; everything above sees plain values.

TensorFlow and LiteRT are loaded by the functions here, never by importing this module, so that
web processes stay free of them.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from ml import imaging
from screening.inference.failures import PermanentFailure, TransientFailure
from screening.studies import storage

if TYPE_CHECKING:
    from ml.predict import Predictor

logger = logging.getLogger(__name__)

HEATMAP_LONG_SIDE = 512
"""Pixels. The map is smooth, so the page may stretch it over the display rendition."""


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


_loaded: tuple[tuple[str, str], Predictor] | None = None


def warm_up() -> None:
    """Load the model now rather than with the first job. A model that fails to load is logged:
    jobs will say so, each with its code."""
    try:
        _predictor()
    except (PermanentFailure, TransientFailure) as failure:
        logger.error("the model was not loaded: %s", failure.code)


def look(name: str, sha256: str) -> Finding | Refusal:
    """Classify the stored file ``name``, which must still be the bytes that were uploaded.

    :raises PermanentFailure, TransientFailure: with a code of ``inference.failures``.
    """
    predictor = _predictor()
    data = _read(name)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise PermanentFailure("image_changed")
    try:
        decoded = imaging.decode(data)
    except imaging.ImagingError:
        raise PermanentFailure("corrupt_image") from None
    prediction = predictor.predict(decoded)
    raise NotImplementedError
