"""From a picture to an answer: the classifier as the product serves it.

There is no answer of last resort: whatever fails, raises.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ml import CLASSES
from ml.imaging import DEFAULT_LIMITS, DecodedImage, Limits, decode
from ml.lungs import Lungs, LungSegmenter
from ml.package import ModelPackage, PackageError, load_package
from ml.preprocess import FloatArray, resize_square
from ml.quality import Gate, QualityVerdict, load_gate
from ml.runtime import Outputs, Runtime, RuntimeName, open_runtime
from ml.view import Frame, Look, Shown, look_without_lungs, looks, show

OTHER_LUNGS: Final = "The model was trained with another lung segmenter; install the model again."


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
    """(looks, h, w, 3) float32: the evidence for each class at each place of each look's frame; its
    mean is ``logits``."""
    frames: tuple[Frame, ...]
    """The part of the picture that each look was at."""
    square: FloatArray
    """(size, size) float32 in [0, 1]: the whole picture."""
    shown: Shown
    """What the network was asked of, before normalising."""
    lungs: Lungs | None
    """As found for a model that is shown the lungs; None for one that is shown everything."""
    lungs_only: tuple[float, ...] | None
    """Calibrated probabilities by the look at the lungs alone, where there was one."""
    quality: QualityVerdict
    model_name: str
    model_version: str
    runtime: RuntimeName
    milliseconds: float
    """Wall time of preparing, network and gate; decoding not included."""


class Predictor:
    """A loaded model. Any number of threads may share one; load one in each process, after fork."""

    def __init__(
        self,
        package: ModelPackage,
        runtime: Runtime,
        runtime_name: RuntimeName,
        gate: Gate,
        segmenter: LungSegmenter | None = None,
    ) -> None:
        self.package = package
        self.runtime_name = runtime_name
        self._runtime = runtime
        self._gate = gate
        if (package.view == "lungs") != (segmenter is not None):
            raise ValueError("a model that is shown the lungs needs a segmenter, another has none")
        self._segmenter = segmenter

    @classmethod
    def load(
        cls,
        package_path: Path | str | None = None,
        runtime: RuntimeName = "litert",
        threads: int = 1,
        segmenter: LungSegmenter | None = None,
    ) -> Predictor:
        """Load and check a released model.

        :param package_path: the package's folder; None for the one in use.
        :param threads: processor threads for one picture (LiteRT only).
        :param segmenter: for a model that is shown the lungs; None for the one that ships.
        :raises PackageError: when the model is missing, changed or unfit, or was trained with
            another segmenter.
        """
        package = load_package(package_path)
        gate = load_gate(package.gate_path)
        if package.view == "whole":
            segmenter = None
        else:
            segmenter = segmenter or LungSegmenter.load(threads=threads)
            if segmenter.sha256 != package.lungs_sha256:
                raise PackageError("model_hash_mismatch", OTHER_LUNGS)
        return cls(package, open_runtime(package, runtime, threads), runtime, gate, segmenter)

    def predict(self, decoded: DecodedImage) -> Prediction:
        """Judge a decoded picture.

        :raises ArithmeticError: when a network's answer is not a number.
        """
        started = time.perf_counter()
        square = resize_square(decoded.pixels, self.package.size)
        lungs = self._segmenter.find(decoded.pixels) if self._segmenter else None
        shown = show(decoded.pixels, square, lungs)
        asked = looks(shown)
        seen = [self._look(look) for look in asked]
        logits = np.mean([one.logits for one in seen], axis=0)
        verdict = self._gate.judge(square, decoded.colourfulness, seen[0].features)
        chances = self.package.calibration.probabilities(logits)
        covid, pneumonia, normal = (float(value) for value in logits)
        return Prediction(
            label=CLASSES[int(np.argmax(chances))],
            probabilities=dict(zip(CLASSES, (float(value) for value in chances), strict=True)),
            logits=(covid, pneumonia, normal),
            cam=np.stack([one.cam for one in seen]),
            frames=tuple(look.frame for look in asked),
            square=square,
            shown=shown,
            lungs=lungs,
            lungs_only=self._chances(seen[-1]) if shown.close is not None else None,
            quality=verdict,
            model_name=self.package.name,
            model_version=self.package.version,
            runtime=self.runtime_name,
            milliseconds=(time.perf_counter() - started) * 1000.0,
        )

    def without_lungs(self, prediction: Prediction) -> tuple[float, ...]:
        """Calibrated probabilities of the picture with the lungs taken out.

        :raises ArithmeticError: when the network's answer is not a number.
        """
        return self._chances(self._look(look_without_lungs(prediction.shown)))

    def _look(self, look: Look) -> Outputs:
        return self._runtime.run(look.prepared[..., : self._runtime.channels])

    def _chances(self, seen: Outputs) -> tuple[float, ...]:
        chances = self.package.calibration.probabilities(seen.logits)
        return tuple(float(value) for value in chances)

    def predict_bytes(self, data: bytes, limits: Limits = DEFAULT_LIMITS) -> Prediction:
        """Decode a file and judge it.

        :raises ImagingError: when the file is refused.
        """
        return self.predict(decode(data, limits))
