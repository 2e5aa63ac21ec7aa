"""The classifier as it is served: agreement with the reference, and the same answer for anyone."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ml import CLASSES
from ml.data import DATA_LIMITS, read_manifest
from ml.imaging import DEFAULT_LIMITS, DecodedImage, ImagingError, decode
from ml.package import ModelPackage
from ml.phantom import phantom_dicom, phantom_jpeg, phantom_png
from ml.predict import Prediction, Predictor
from ml.runtime import open_runtime


def test_an_answer_is_complete(predictor: Predictor, phantoms: list[DecodedImage]) -> None:
    answer = predictor.predict(phantoms[0])
    assert tuple(answer.probabilities) == CLASSES
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-9)
    assert answer.label == max(answer.probabilities, key=lambda label: answer.probabilities[label])
    assert answer.cam.ndim == 4
    assert len(answer.cam) == len(answer.frames)
    assert answer.cam.shape[3] == len(CLASSES)
    assert answer.cam.dtype == np.float32
    assert answer.runtime == "litert"
    assert (answer.model_name, answer.model_version) == (
        predictor.package.name,
        predictor.package.version,
    )
    assert answer.milliseconds > 0


def test_the_heatmap_is_the_reason_for_the_logits(
    predictor: Predictor, phantoms: list[DecodedImage]
) -> None:
    for image in phantoms:
        answer = predictor.predict(image)
        assert np.allclose(answer.cam.mean(axis=(0, 1, 2)), answer.logits, atol=1e-4)


def test_both_runtimes_agree(predictor: Predictor, phantoms: list[DecodedImage]) -> None:
    reference = Predictor.load(predictor.package.path, runtime="keras")
    for image in phantoms:
        fast, slow = predictor.predict(image), reference.predict(image)
        assert slow.runtime == "keras"
        for label in CLASSES:
            assert abs(fast.probabilities[label] - slow.probabilities[label]) < 1e-4
        assert np.allclose(fast.cam, slow.cam, atol=1e-3)
        assert fast.quality.code == slow.quality.code


def test_both_runtimes_agree_on_real_pictures(predictor: Predictor, real_manifest: Path) -> None:
    reference = Predictor.load(predictor.package.path, runtime="keras")
    rows = [row for row in read_manifest(real_manifest) if row.split == "val"][::60]
    assert len(rows) > 15
    for row in rows:
        image = decode(row.path.read_bytes(), DATA_LIMITS)
        fast, slow = predictor.predict(image), reference.predict(image)
        for label in CLASSES:
            assert abs(fast.probabilities[label] - slow.probabilities[label]) < 1e-4


def same(one: Prediction, other: Prediction) -> bool:
    return (
        one.logits == other.logits
        and one.probabilities == other.probabilities
        and np.array_equal(one.cam, other.cam)
        and one.quality == other.quality
    )


def test_sixteen_at_once_get_the_answer_of_one(
    predictor: Predictor, phantoms: list[DecodedImage]
) -> None:
    expected = [predictor.predict(image) for image in phantoms]
    start = threading.Barrier(16)

    def ask(number: int) -> list[Prediction]:
        start.wait()
        order = phantoms[number % 8 :] + phantoms[: number % 8]
        return [predictor.predict(image) for image in order]

    with ThreadPoolExecutor(16) as pool:
        for number, answers in enumerate(pool.map(ask, range(16))):
            turned = expected[number % 8 :] + expected[: number % 8]
            assert all(same(a, b) for a, b in zip(answers, turned, strict=True))


def test_a_second_process_gives_the_same_answer(
    predictor: Predictor, phantoms: list[DecodedImage]
) -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    path = str(predictor.package.path)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        answers = list(pool.map(_ask_elsewhere, [path] * 4, phantoms[:4]))
    for image, logits in zip(phantoms, answers, strict=False):
        assert logits == predictor.predict(image).logits
    assert os.getpid() > 0


def _ask_elsewhere(path: str, image: DecodedImage) -> tuple[float, float, float]:
    return Predictor.load(path).predict(image).logits


def test_the_format_of_the_file_hardly_matters(predictor: Predictor) -> None:
    answers = [
        predictor.predict_bytes(data).probabilities
        for data in (
            phantom_png(2, "normal", (600, 600)),
            phantom_png(2, "normal", (600, 600), bits=16),
            phantom_jpeg(2, "normal", (600, 600), quality=98),
            phantom_dicom(2, "normal", (600, 600), window=(2048, 4096)),
            phantom_dicom(2, "normal", (600, 600), photometric="MONOCHROME1", syntax="jpeg2000"),
        )
    ]
    for answer in answers[1:]:
        for label in CLASSES:
            assert abs(answer[label] - answers[0][label]) < 0.05


def test_a_refused_file_is_an_error_not_an_answer(predictor: Predictor) -> None:
    with pytest.raises(ImagingError, match="unsupported_type"):
        predictor.predict_bytes(b"hello")
    with pytest.raises(ImagingError, match="too_small"):
        predictor.predict_bytes(phantom_png(1, "normal", (100, 100)), DEFAULT_LIMITS)


def test_a_runtime_must_be_known(released: ModelPackage) -> None:
    with pytest.raises(ValueError, match="unknown runtime"):
        open_runtime(released, "torch")  # type: ignore[arg-type]


def test_a_network_gone_mad_raises(
    predictor: Predictor, phantoms: list[DecodedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ml.view.normalise", lambda square: np.full(square.shape, np.nan, dtype=np.float32)
    )
    with pytest.raises(ArithmeticError):
        predictor.predict(phantoms[0])
