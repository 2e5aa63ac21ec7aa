"""The shortcut meter: what rests on the lungs is told from what rests on the rest."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from ml import CLASSES
from ml.explain import evidence
from ml.imaging import DecodedImage
from ml.lungs import Lungs, LungSegmenter
from ml.predict import Predictor
from ml.preprocess import resize_square
from ml.shortcut import (
    SENTENCES,
    Probe,
    ShortcutLimits,
    ShortcutMeter,
    around,
    cover,
    evidence_share,
    fit_limits,
    judge,
    probe,
    widen,
)
from ml.swap import swap_all, transplant
from ml.view import looks, show

LIMITS = ShortcutLimits((0.9, 0.3, 0.6))
FOUND = Lungs(np.zeros((4, 4), dtype=np.float32), np.zeros((4, 4), dtype=bool), None, {})
MISSED = replace(FOUND, code="no_lungs")


@pytest.fixture(scope="module")
def segmenter() -> LungSegmenter:
    return LungSegmenter.load()


@pytest.fixture(scope="module")
def meter(predictor: Predictor, segmenter: LungSegmenter) -> ShortcutMeter:
    return ShortcutMeter(predictor, segmenter, LIMITS)


def measured(
    label: str, without: tuple[float, ...] | None, only: tuple[float, ...] | None
) -> Probe:
    return Probe(label, FOUND if without else MISSED, 0.6, 0.4, without, only)


@pytest.mark.parametrize(
    ("label", "without", "only", "verdict", "reason"),
    [
        ("covid", (0.5, 0.2, 0.3), (0.8, 0.1, 0.1), "reliable", "needs_lungs"),
        ("covid", (0.9, 0.0, 0.1), (0.8, 0.1, 0.1), "unreliable", "survives_without_lungs"),
        ("pneumonia", (0.7, 0.3, 0.0), (0.0, 1.0, 0.0), "unreliable", "survives_without_lungs"),
        ("normal", (0.5, 0.2, 0.3), (0.95, 0.0, 0.05), "unreliable", "lost_with_lungs_only"),
        ("normal", (0.9, 0.1, 0.0), (0.9, 0.0, 0.1), "reliable", "needs_lungs"),
        ("normal", None, None, "unknown", "no_lungs"),
    ],
)
def test_the_verdict(
    label: str,
    without: tuple[float, ...] | None,
    only: tuple[float, ...] | None,
    verdict: str,
    reason: str,
) -> None:
    reading = judge(measured(label, without, only), LIMITS)
    assert (reading.verdict, reading.reason) == (verdict, reason)
    assert reading.sentence == SENTENCES[reading.reason]
    assert json.loads(json.dumps(reading.to_json()))["verdict"] == verdict


def test_one_in_twenty_of_the_others_scores_as_high() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 3000)
    chances = rng.dirichlet([1, 1, 1], 3000)
    probes = [measured("covid", tuple(row), tuple(row)) for row in chances.tolist()]
    limits = fit_limits(probes, labels)
    for number in range(len(CLASSES)):
        others = chances[labels != number, number]
        assert 0.04 < (others >= limits.without_lungs[number]).mean() <= 0.051
    missing = [measured("covid", None, None)] * 5
    assert fit_limits(probes + missing, np.append(labels, [0] * 5)) == limits
    with pytest.raises(ValueError, match="more than one class"):
        fit_limits(missing, np.zeros(5, dtype=np.int64))
    with pytest.raises(ValueError, match="more than one class"):
        fit_limits(probes, np.zeros(3000, dtype=np.int64))


def test_limits_survive_being_written_down() -> None:
    assert ShortcutLimits.from_json(json.loads(json.dumps(LIMITS.to_json()))) == LIMITS
    with pytest.raises(ValueError, match="range"):
        ShortcutLimits.from_json(LIMITS.to_json() | {"vanished": 7})


def test_a_cover_hides_everything_beneath() -> None:
    rng = np.random.default_rng(2)
    square = rng.random((160, 160)).astype(np.float32)
    hidden = np.zeros((160, 160), dtype=bool)
    hidden[40:120, 30:90] = True
    other = square.copy()
    other[hidden] = rng.random(int(hidden.sum())).astype(np.float32)
    deep = np.zeros_like(hidden)
    deep[50:110, 40:80] = True
    first, second = cover(square, hidden), cover(other, hidden)
    assert np.allclose(first[deep], square[~hidden].mean(), atol=1e-3)
    assert np.allclose(first[deep], second[deep], atol=1e-3)
    far = ~widen(widen(hidden))
    assert np.array_equal(first[far], square[far])
    assert np.isfinite(cover(square, np.ones_like(hidden))).all()


def test_the_share_of_evidence() -> None:
    found = np.zeros((10, 10), dtype=np.float32)
    found[2:5, 2:5] = 3.0
    found[7:9, 7:9] = -2.0
    region = np.zeros((160, 160), dtype=bool)
    region[:100, :100] = True
    assert evidence_share(found, region) == pytest.approx(1.0, abs=0.03)
    assert evidence_share(found, ~region) == pytest.approx(0.0, abs=0.03)
    assert evidence_share(np.full((10, 10), -1.0, dtype=np.float32), region) is None
    assert evidence_share(found + 60, np.ones_like(region)) == pytest.approx(1.0)


def test_phantoms_are_measured(
    meter: ShortcutMeter, predictor: Predictor, phantoms: list[DecodedImage]
) -> None:
    for image in phantoms:
        answer = predictor.predict(image)
        reading = meter.read(image, answer)
        assert reading.verdict != "unknown"
        found = reading.probe
        assert found.label == answer.label
        assert found.without_lungs is not None
        assert found.lungs_only is not None
        assert sum(found.without_lungs) == pytest.approx(1.0)
        assert found.area is not None
        assert 0.2 < found.area < 0.7
        assert evidence(answer).max() <= 0 or 0.0 <= (found.inside or 0.0) <= 1.0
        again = meter.read(image, answer)
        assert again.probe.without_lungs == found.without_lungs
        assert json.dumps(again.to_json()) == json.dumps(reading.to_json())


def test_what_surrounds_the_lungs_plays_no_part_in_the_lungs_only_look(
    predictor: Predictor, segmenter: LungSegmenter, phantoms: list[DecodedImage]
) -> None:
    """A caption far from the lungs changes neither where they are nor what is seen in them."""
    changes = []
    for image in phantoms:
        pixels = image.pixels.copy()
        pixels[4:24, 4:44] = 1.0
        marked = replace(image, pixels=pixels)
        plain = probe(predictor, segmenter, image, predictor.predict(image))
        captioned = probe(predictor, segmenter, marked, predictor.predict(marked))
        assert np.abs(plain.lungs.probability - captioned.lungs.probability).mean() < 0.01
        changes.append(np.abs(np.subtract(plain.lungs_only, captioned.lungs_only)).max())
        with_same_lungs = (
            looks(show(one, resize_square(one, 224), plain.lungs))[-1].prepared
            for one in (image.pixels, pixels)
        )
        # greys are brought to the lungs' own mean and spread, up to rounding
        np.testing.assert_allclose(*with_same_lungs, atol=0.01)
    # where an outline moves by a pixel, an answer on the brink may move along
    assert np.median(changes) < 0.05


def test_without_lungs_nobody_can_say(meter: ShortcutMeter, predictor: Predictor) -> None:
    reading = meter.read(LUNGLESS, predictor.predict(LUNGLESS))
    assert reading.verdict == "unknown"
    assert reading.probe.inside is None
    assert reading.survives_without_lungs is None
    assert reading.to_json()["without_lungs"] is None


def _lungless() -> DecodedImage:
    from ml.imaging import decode
    from tests.ml.others import as_file, clouds

    return decode(as_file(clouds(40, 3)))


LUNGLESS = _lungless()


def test_it_fits_the_budget(
    meter: ShortcutMeter, predictor: Predictor, phantoms: list[DecodedImage]
) -> None:
    answer = predictor.predict(phantoms[0])
    best = min(meter.read(phantoms[0], answer).milliseconds for _ in range(8))
    started = time.process_time()
    for _ in range(4):
        meter.read(phantoms[0], answer)
    assert best < 120  # about 20 ms on an idle core
    assert (time.process_time() - started) / 4 < 0.12


def test_a_transplant_moves_the_lungs_and_nothing_else() -> None:
    square = np.full((160, 160), 0.2, dtype=np.float32)
    host = np.full((160, 160), 0.8, dtype=np.float32)
    box, host_box = np.zeros((160, 160), dtype=bool), np.zeros((160, 160), dtype=bool)
    box[40:120, 30:130] = True
    host_box[60:100, 60:110] = True
    host[host_box] = 0.5
    mixed = transplant(square, box, host, host_box)
    assert np.allclose(mixed[60:100, 50:110], 0.2, atol=0.01)
    assert np.allclose(mixed[5:30, 40:120], 0.8, atol=0.01)
    # the host's own lungs lie exactly beneath and are not seen
    assert not np.isclose(mixed, 0.5, atol=0.02)[:30].any()


def test_everybody_is_put_into_other_surroundings(
    predictor: Predictor, segmenter: LungSegmenter, phantoms: list[DecodedImage]
) -> None:
    images = [*phantoms, LUNGLESS]
    answers = [predictor.predict(image) for image in images]
    probes = [
        probe(predictor, segmenter, image, answer)
        for image, answer in zip(images, answers, strict=True)
    ]
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
    swaps = swap_all(predictor, images, answers, probes, labels)
    assert len(swaps) == 9
    assert swaps[-1] is None
    assert all(one is not None for one in swaps[:-1])
    assert swaps == swap_all(predictor, images, answers, probes, labels)
    alone = swap_all(predictor, images[:2], answers[:2], probes[:2], labels[:2])
    assert alone == [None, None]


def test_the_rectangle_around() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[2, 3] = mask[5, 7] = True
    expected = np.zeros((9, 9), dtype=bool)
    expected[2:6, 3:8] = True
    assert np.array_equal(around(mask), expected)
