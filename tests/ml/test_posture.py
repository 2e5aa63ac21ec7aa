"""Turned, inverted and cropped films are told apart from good ones, and each is told so."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ml.data import DATA_LIMITS, read_manifest
from ml.imaging import decode
from ml.lungs import LungSegmenter
from ml.phantom import FINDINGS, draw_phantom
from ml.posture import MESSAGES, judge_posture


@pytest.fixture(scope="module")
def segmenter() -> LungSegmenter:
    return LungSegmenter.load()


@pytest.fixture(scope="module")
def films(real_manifest: Path) -> list[np.ndarray]:
    rows = [row for row in read_manifest(real_manifest) if row.split == "val"][::20]
    return [decode(row.path.read_bytes(), DATA_LIMITS).pixels for row in rows]


CHANGES = {
    None: lambda pixels: pixels,
    "turned": np.rot90,
    "upside_down": lambda pixels: np.rot90(pixels, 2),
    "inverted": lambda pixels: 1.0 - pixels,
}


@pytest.mark.parametrize("code", list(CHANGES))
@pytest.mark.parametrize("finding", FINDINGS)
def test_phantoms(segmenter: LungSegmenter, finding: str, code: str | None) -> None:
    for seed in range(1, 6):
        for size in ((400, 400), (420, 560)):
            chest = draw_phantom(seed, finding, size)  # type: ignore[arg-type]
            posture = judge_posture(segmenter, np.ascontiguousarray(CHANGES[code](chest)))
            assert posture.code == code, (seed, size, posture.measures)
            assert posture.accepted == (code is None)
            assert posture.message == (MESSAGES[code] if code else None)  # type: ignore[index]


@pytest.mark.parametrize("code", list(CHANGES))
def test_real_films(segmenter: LungSegmenter, films: list[np.ndarray], code: str | None) -> None:
    found = Counter(
        judge_posture(segmenter, np.ascontiguousarray(CHANGES[code](film))).code for film in films
    )
    assert found[code] >= len(films) * 0.98, found  # type: ignore[index]


def test_a_turn_to_the_other_side(segmenter: LungSegmenter) -> None:
    chest = draw_phantom(2, "normal", (400, 400))
    assert judge_posture(segmenter, np.ascontiguousarray(np.rot90(chest, 3))).code == "turned"


def test_half_a_chest_is_told_so(segmenter: LungSegmenter) -> None:
    chest = draw_phantom(4, "normal", (400, 400))
    cuts = [chest[:, 200:], chest[:, :190], chest[170:], chest[:190]]
    for cut in cuts:
        posture = judge_posture(segmenter, np.ascontiguousarray(cut))
        assert posture.code in {"no_lungs", "cropped"}, posture.measures
        # what is left of a film may still be read, with care
        assert posture.accepted == (posture.code == "cropped")


def test_nothing_there(segmenter: LungSegmenter) -> None:
    for values in (np.zeros((300, 300)), np.random.default_rng(1).random((300, 300))):
        posture = judge_posture(segmenter, values.astype(np.float32))
        assert posture.code == "no_lungs"
        assert not posture.accepted


def test_it_is_quick(segmenter: LungSegmenter) -> None:
    chest = draw_phantom(1, "normal", (300, 300))
    best = 9.0
    for _ in range(10):
        started = time.perf_counter()
        judge_posture(segmenter, chest)
        best = min(best, time.perf_counter() - started)
    assert best < 0.06  # about 0.009 s on an idle core
