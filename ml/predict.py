"""From a picture to an answer: the classifier as the product serves it.

There is no answer of last resort: whatever fails, raises.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml import CLASSES
from ml.imaging import DEFAULT_LIMITS, DecodedImage, Limits, decode
from ml.package import ModelPackage, load_package
from ml.preprocess import FloatArray, normalise, resize_square
from ml.quality import Gate, QualityVerdict, load_gate
from ml.runtime import Runtime, RuntimeName, open_runtime


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the model says of one picture.

    A refused picture (``quality.accepted`` is False) still has numbers, so that evaluation can
    count it; they must not be shown to anyone as an answer.
    """

    label: str
    """The class of the highest probability: covid, pneumonia or normal."""
    probabilities: dict[str, float]
    """Calibrated; they sum to 1."""
    logits: tuple[float, float, float]
    """Of the network, before calibration, in the order of ``ml.CLASSES``."""
    cam: FloatArray
    """(h, w, 3) float32: the evidence for each class at each place; its mean is ``logits``."""
    square: FloatArray
    """(size, size) float32 in [0, 1]: the picture as the network got it, before normalising."""
    quality: QualityVerdict
    model_name: str
    model_version: str
    runtime: RuntimeName
    milliseconds: float
    """Wall time of preparing, network and gate; decoding not included."""


class Predictor:
    """A loaded model. Any number of threads may share one; load one in each process, after fork."""

    def __init__(
        self, package: ModelPackage, runtime: Runtime, runtime_name: RuntimeName, gate: Gate
    ) -> None:
        self.package = package
        self.runtime_name = runtime_name
        self._runtime = runtime
        self._gate = gate

    @classmethod
    def load(
        cls,
        package_path: Path | str | None = None,
        runtime: RuntimeName = "litert",
        threads: int = 1,
    ) -> Predictor:
        """Load and check a released model.

        :param package_path: the package's folder; None for the one in use.
        :param threads: processor threads for one picture (LiteRT only).
        :raises PackageError: when the model is missing, changed or unfit.
        """
        package = load_package(package_path)
        gate = load_gate(package.gate_path)
        return cls(package, open_runtime(package, runtime, threads), runtime, gate)

    def predict(self, decoded: DecodedImage) -> Prediction:
        """Judge a decoded picture.

        :raises ArithmeticError: when the network's answer is not a number.
        """
        started = time.perf_counter()
        square = resize_square(decoded.pixels, self.package.size)
        outputs = self._runtime.run(normalise(square)[..., np.newaxis])
        verdict = self._gate.judge(square, decoded.colourfulness, outputs.features)
        chances = self.package.calibration.probabilities(outputs.logits)
        covid, pneumonia, normal = (float(value) for value in outputs.logits)
        return Prediction(
            label=CLASSES[int(np.argmax(chances))],
            probabilities=dict(zip(CLASSES, (float(value) for value in chances), strict=True)),
            logits=(covid, pneumonia, normal),
            cam=outputs.cam,
            square=square,
            quality=verdict,
            model_name=self.package.name,
            model_version=self.package.version,
            runtime=self.runtime_name,
            milliseconds=(time.perf_counter() - started) * 1000.0,
        )

    def predict_bytes(self, data: bytes, limits: Limits = DEFAULT_LIMITS) -> Prediction:
        """Decode a file and judge it.

        :raises ImagingError: when the file is refused.
        """
        return self.predict(decode(data, limits))
