"""The quality gate: is this a chest X-ray that the model may speak about?

First the picture itself is measured: colour, exposure, contrast, and how rough it is. Then the
network's features of it are compared with those of the pictures it learned from (Mahalanobis
distance, after shrinkage). Thresholds come with the released package and were fitted on training
and selection pictures alone. What is refused gets a code and a sentence, and no diagnosis.

What is let in may still be unlike every film that was learnt from: a drawn chest, which the gate
knows on purpose, or a film of a kind that no collection held. A model is often most certain where
it knows least, so such a picture is marked ``unfamiliar``, however certain its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from ml.package import PackageError
from ml.preprocess import FloatArray, resize_square

QualityCode = Literal["not_a_radiograph", "too_dark", "too_bright", "low_contrast"]

MESSAGES: Final[dict[QualityCode, str]] = {
    "not_a_radiograph": "This does not look like a frontal chest X-ray: check the file and "
    "send the right one.",
    "too_dark": "The picture is almost all black: export it again with a proper window.",
    "too_bright": "The picture is almost all white: export it again with a proper window.",
    "low_contrast": "The picture has too little contrast: export it again with a proper window.",
}

UNFAMILIAR: Final = (
    "This picture is unlike the films that the model has learnt from: however certain the answer "
    "sounds, it says little."
)
MEASURE_SIDE: Final = 128
SHRINKAGE: Final = 0.10
STRANGERS: Final = 0.01
BLANK_SPAN: Final = 0.02


@dataclass(frozen=True, slots=True)
class QualityVerdict:
    """Whether a picture may be judged. ``code`` and ``message`` are None when it may."""

    accepted: bool
    code: QualityCode | None
    message: str | None
    measures: dict[str, float]
    unfamiliar: bool = False
    """Whether it is unlike the films learnt from; never of a package that does not know them."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Thresholds on the picture itself. Greys are in [0, 1], white is dense."""

    colourfulness: float = 0.10
    dark_level: float = 0.12
    """The 95th percentile of a picture that is all black lies below."""
    bright_level: float = 0.80
    """The 5th percentile of a picture that is all white lies above."""
    span: float = 0.12
    """Between 2nd and 98th percentile."""
    roughness: float = 0.35
    """Mean step between neighbours over the spread of greys, after shrinking."""
    levels: float = 12.0
    """How many of 64 greys carry the picture: drawings and text have few."""
    distance: float = 1e9
    """Mahalanobis distance a feature, squared mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Where features lie."""

    mean: npt.NDArray[np.float32]
    """(channels,)"""
    whitening: npt.NDArray[np.float32]
    """(channels, channels): after it, features have covariance one."""

    def distance(self, features: FloatArray) -> float:
        """Mean square of the whitened features: about 1 for pictures like those learned from."""
        whitened = (features - self.mean) @ self.whitening
        return float(np.mean(np.square(whitened, dtype=np.float64)))


@dataclass(frozen=True, slots=True, eq=False)
class Films:
    """Where the films lie that were learnt from, drawn chests left out."""

    cloud: Cloud
    limit: float
    """Of the distance; beyond it a picture is unfamiliar."""


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """The gate of one released package."""

    cloud: Cloud
    """Of everything that is to be let in."""
    bounds: Bounds
    films: Films | None = None
    """None in packages before 1.3.0."""

    def judge(
        self, square: FloatArray, colourfulness: float, features: FloatArray
    ) -> QualityVerdict:
        """Judge a picture.

        :param square: (s, s) float32 in [0, 1] from ``ml.preprocess.resize_square``.
        :param colourfulness: of the decoded picture.
        :param features: (channels,) from the network.
        """
        measures = measure(square, colourfulness)
        measures["distance"] = self.distance(features)
        code = self._code(measures)
        message = MESSAGES[code] if code else None
        strange = self.films is not None and self.films.cloud.distance(features) > self.films.limit
        return QualityVerdict(code is None, code, message, measures, strange)

    def distance(self, features: FloatArray) -> float:
        """From everything that is to be let in."""
        return self.cloud.distance(features)

    def _code(self, measures: dict[str, float]) -> QualityCode | None:
        bounds = self.bounds
        if (
            measures["span"] < BLANK_SPAN
            or measures["colourfulness"] > bounds.colourfulness
            or measures["roughness"] > bounds.roughness
        ):
            return "not_a_radiograph"
        if measures["high"] < bounds.dark_level:
            return "too_dark"
        if measures["low"] > bounds.bright_level:
            return "too_bright"
        if measures["span"] < bounds.span:
            return "low_contrast"
        if measures["levels"] < bounds.levels or measures["distance"] > bounds.distance:
            return "not_a_radiograph"
        return None


def measure(square: FloatArray, colourfulness: float) -> dict[str, float]:
    """Measures of the picture itself, all without unit; see ``Bounds``.

    :param square: (s, s) float32 in [0, 1], s at least 128 for the bounds to mean what they say.
    """
    square = resize_square(square, MEASURE_SIDE)
    second, fifth, median, high, top = np.percentile(square, [2, 5, 50, 95, 98])
    spread = float(square.std()) + 1e-6
    steps = float(np.abs(np.diff(square, axis=0)).mean() + np.abs(np.diff(square, axis=1)).mean())
    shares = np.bincount((square.ravel() * 63.999).astype(int), minlength=64) / square.size
    filled = shares[shares > 0]
    return {
        "colourfulness": colourfulness,
        "low": float(fifth),
        "median": float(median),
        "high": float(high),
        "span": float(top - second),
        "roughness": steps / 2.0 / spread,
        "levels": float(np.exp(-(filled * np.log(filled)).sum())),
    }


def fit_cloud(features: FloatArray) -> Cloud:
    """Learn where X-rays lie among all features.

    :param features: (n, channels) of training pictures.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    covariance = np.cov(features.astype(np.float64), rowvar=False)
    even = np.eye(len(mean)) * np.trace(covariance) / len(mean)
    values, vectors = np.linalg.eigh((1 - SHRINKAGE) * covariance + SHRINKAGE * even)
    whitening = vectors / np.sqrt(values)
    return Cloud(mean.astype(np.float32), whitening.astype(np.float32))


def fit_films(features: FloatArray, watched: FloatArray) -> Films:
    """Learn what is familiar.

    :param features: (n, channels) of training films.
    :param watched: (n', channels) of films that were not learnt from, ``STRANGERS`` of which may
        count as unfamiliar.
    """
    cloud = fit_cloud(features)
    distances = [cloud.distance(one) for one in watched]
    return Films(cloud, float(np.quantile(distances, 1.0 - STRANGERS)))


def save_gate(gate: Gate, path: Path) -> None:
    """Write a gate beside the weights it belongs to."""
    arrays: dict[str, Any] = {"mean": gate.cloud.mean, "whitening": gate.cloud.whitening}
    if (films := gate.films) is not None:
        arrays |= {"films_mean": films.cloud.mean, "films_whitening": films.cloud.whitening}
        arrays["films_limit"] = np.array(films.limit)
    for name in Bounds.__dataclass_fields__:
        arrays[f"bound_{name}"] = np.array(getattr(gate.bounds, name))
    np.savez_compressed(path, **arrays)


def load_gate(path: Path) -> Gate:
    """:raises PackageError: ``model_invalid`` when the file holds no gate."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            bounds = Bounds(
                **{name: float(stored[f"bound_{name}"]) for name in Bounds.__dataclass_fields__}
            )
            films = None
            if "films_limit" in stored:
                known = Cloud(stored["films_mean"], stored["films_whitening"])
                films = Films(known, float(stored["films_limit"]))
            return Gate(Cloud(stored["mean"], stored["whitening"]), bounds, films)
    except (OSError, KeyError, ValueError) as error:
        raise PackageError("model_invalid", "The model's quality gate is damaged.") from error
