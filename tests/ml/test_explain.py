"""The heatmap: transparent, in proportion, in the right place, and quick."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ml.explain import PLACED_SIDE, evidence, heatmap_png
from ml.imaging import DecodedImage
from ml.predict import Prediction, Predictor
from ml.view import WHOLE, Frame


@pytest.fixture(scope="module")
def answer(predictor: Predictor, phantoms: list[DecodedImage]) -> Prediction:
    return predictor.predict(phantoms[0])


def opened(data: bytes) -> npt.NDArray[np.uint8]:
    picture = Image.open(io.BytesIO(data), formats=["PNG"])
    assert picture.mode == "P", "one byte a pixel"
    return np.asarray(picture.convert("RGBA"))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((2000, 1000), (512, 256)), ((1000, 2000), (256, 512)), ((300, 200), (300, 200))],
)
def test_the_aspect_is_kept_and_the_long_side_bounded(
    answer: Prediction, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    height, width, _ = opened(heatmap_png(answer, size=size)).shape
    assert (width, height) == expected


def test_evidence_shows_where_it_is(answer: Prediction) -> None:
    cam = np.zeros((1, 10, 10, 3), dtype=np.float32)
    cam[0, 1:3, 7:9, 0] = 12.0
    drawn = opened(heatmap_png(replace(answer, label="covid", cam=cam, frames=(WHOLE,))))
    alpha = drawn[..., 3].astype(float)
    row, column = np.unravel_index(alpha.argmax(), alpha.shape)
    assert 50 < row < 155
    assert 355 < column < 465
    assert alpha[300:].max() == 0
    assert alpha.max() < 255


def test_the_evidence_of_several_looks_is_laid_together(answer: Prediction) -> None:
    cam = np.zeros((2, 8, 8, 3), dtype=np.float32)
    cam[0, :4, :4, 0] = 6.0
    cam[1, 4:, 4:, 0] = 6.0
    frames = (WHOLE, Frame(0.5, 0.5, 1.0, 1.0))
    found = evidence(replace(answer, label="covid", cam=cam, frames=frames))
    assert found.shape == (PLACED_SIDE, PLACED_SIDE)
    quarter = PLACED_SIDE // 4
    assert found[quarter, quarter] == pytest.approx(2.0), "half of what one look found there"
    assert found[-4, -4] == pytest.approx(2.0)
    assert found[quarter, 3 * quarter] == pytest.approx(0.0)
    assert found[5 * quarter // 2, 5 * quarter // 2] == pytest.approx(0.0)


def test_no_evidence_draws_nothing(answer: Prediction) -> None:
    against = np.zeros((1, 10, 10, 3), dtype=np.float32)
    against[..., 0] = -5.0
    assert (
        opened(heatmap_png(replace(answer, label="covid", cam=against, frames=(WHOLE,))))[
            ..., 3
        ].max()
        == 0
    )


def test_what_is_common_to_all_classes_is_no_evidence(answer: Prediction) -> None:
    lifted = replace(answer, cam=answer.cam + np.float32(7.0))
    assert np.allclose(evidence(answer), evidence(lifted), atol=1e-4)


def test_weak_evidence_is_drawn_faint(answer: Prediction) -> None:
    cam = np.zeros((1, 10, 10, 3), dtype=np.float32)
    cam[0, 4:6, 4:6, 1] = 1.0
    seen = replace(answer, cam=cam, frames=(WHOLE,))
    weak = opened(heatmap_png(seen, "pneumonia"))[..., 3].max()
    strong = opened(heatmap_png(replace(seen, cam=cam * 10), "pneumonia"))[..., 3].max()
    assert weak < strong / 2


def test_any_class_can_be_asked_for(answer: Prediction) -> None:
    assert heatmap_png(answer, "normal") != heatmap_png(answer, "pneumonia")
    assert heatmap_png(answer, answer.label) == heatmap_png(answer)
    with pytest.raises(ValueError, match="unknown class"):
        heatmap_png(answer, "cold")
    with pytest.raises(ValueError, match="size"):
        heatmap_png(answer, size=(0, 100))


def test_it_is_quick(answer: Prediction) -> None:
    best = 9.0
    for _ in range(8):
        started = time.perf_counter()
        heatmap_png(answer, size=(1024, 1024))
        best = min(best, time.perf_counter() - started)
    assert best < 0.05  # about 0.006 s on an idle core
