"""Does the heatmap point at disease? The score itself is tried on maps whose score is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.cli import main
from ml.data import ManifestError
from ml.lungs import LungSegmenter
from ml.pointing import (
    MAPS,
    SIDE,
    THRESHOLDS,
    Case,
    centre_map,
    cross_fit,
    draw,
    halves,
    mark,
    score_pointing,
    summarise,
)
from ml.predict import Predictor


def box(top: int, left: int, high: int, wide: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[top : top + high, left : left + wide] = True
    return mask


OPACITY = box(20, 20, 40, 40)


def test_a_map_that_is_the_opacity() -> None:
    marks = mark(OPACITY.astype(np.float32), OPACITY)
    assert (marks.hit, marks.near, marks.inside) == (1.0, 1.0, 1.0)
    assert set(marks.overlaps) == {1.0}


def test_a_map_that_points_elsewhere() -> None:
    marks = mark(box(100, 100, 20, 20).astype(np.float32), OPACITY)
    assert (marks.hit, marks.near, marks.inside) == (0.0, 0.0, 0.0)
    assert set(marks.overlaps) == {0.0}


def test_a_near_miss_is_near() -> None:
    drawn = np.zeros((SIDE, SIDE), dtype=np.float32)
    drawn[40, 65] = 1.0
    assert (mark(drawn, OPACITY).hit, mark(drawn, OPACITY).near) == (0.0, 1.0)
    drawn[40, 65], drawn[40, 90] = 0.0, 1.0
    assert mark(drawn, OPACITY).near == 0.0


def test_a_flat_map_hits_as_often_as_chance() -> None:
    marks = mark(np.ones((SIDE, SIDE), dtype=np.float32), OPACITY)
    assert marks.hit == pytest.approx(OPACITY.mean())
    assert marks.inside == pytest.approx(OPACITY.mean())
    assert mark(np.zeros((SIDE, SIDE), dtype=np.float32), OPACITY).hit == 0.0


def test_the_overlap_at_each_threshold() -> None:
    drawn = np.where(OPACITY, 0.62, 0.0).astype(np.float32)
    drawn[box(20, 60, 40, 40)] = 0.31
    drawn[0, 0] = 1.0
    overlaps = dict(zip(THRESHOLDS, mark(drawn, OPACITY).overlaps, strict=True))
    assert overlaps[0.3] == pytest.approx(1600 / 3201)
    assert overlaps[0.6] == pytest.approx(1600 / 1601)
    assert overlaps[0.65] == 0.0


def test_the_threshold_comes_from_the_other_half() -> None:
    """Each half has its own best threshold; cross-fitting must not give it that one."""
    overlaps = np.zeros((4, len(THRESHOLDS)))
    overlaps[:2, 3], overlaps[:2, 10] = 0.9, 0.2
    overlaps[2:, 10], overlaps[2:, 3] = 0.8, 0.1
    half = np.array([True, True, False, False])
    reported, thresholds = cross_fit(overlaps, half)
    assert reported.tolist() == [0.2, 0.2, 0.1, 0.1]
    assert thresholds == [THRESHOLDS[10], THRESHOLDS[3]]
    reported, thresholds = cross_fit(overlaps[:2], half[:2])
    assert np.isnan(reported).all()
    assert thresholds == [None, None] or thresholds[0] is None


def test_no_group_is_in_both_halves() -> None:
    groups = [f"g{number // 3}" for number in range(60)]
    half = halves(groups)
    assert 24 <= half.sum() <= 36
    assert len({(group, bool(side)) for group, side in zip(groups, half, strict=True)}) == 20
    assert np.array_equal(half, halves(groups))


def test_a_map_that_knows_beats_those_that_do_not() -> None:
    rng = np.random.default_rng(1)
    cases = []
    for number in range(24):
        opacity = box(int(rng.integers(10, 100)), int(rng.integers(10, 100)), 30, 30)
        evidence = rng.normal(0.0, 0.1, (10, 10)).astype(np.float32)
        rows, columns = np.nonzero(opacity)
        evidence[int(rows.mean()) // 16, int(columns.mean()) // 16] = 4.0
        maps = dict.fromkeys(MAPS, centre_map()) | {"heatmap": draw(evidence)}
        cases.append(Case(f"g{number}", "train", opacity, maps))
    result = summarise(cases, 200)
    assert result["n"] == result["groups"] == 24
    assert result["heatmap"]["hit"] > 0.9
    for figure in ("hit", "near", "inside", "iou"):
        assert result["heatmap"][figure] > result["centre"][figure] + 0.2
        low, high = result["heatmap"][f"{figure}_ci"]
        assert low <= result["heatmap"][figure] <= high


def test_phantoms_with_outlines_are_scored(
    phantom_set: Callable[..., Path],
    tmp_path: Path,
    predictor: Predictor,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = phantom_set(2)
    lines = ["mask,image,kind"]
    for number in range(6):
        outline = Image.fromarray(OPACITY.astype(np.uint8) * 255).resize((220, 240)).convert("1")
        outline.save(tmp_path / f"mask{number}.png")
        lines.append(f"mask{number}.png,{number}.png,{'opacity' if number < 4 else 'lungs'}")
    (tmp_path / "masks.csv").write_text("\n".join(lines) + "\n")
    result = score_pointing(manifest, predictor, LungSegmenter.load(), resamples=20)
    assert result["all"]["n"] == result["per_split"]["test"]["n"] == 4
    assert result["opacity_area"] == pytest.approx(OPACITY.mean(), abs=0.01)
    assert set(MAPS) <= set(result["all"])
    out = tmp_path / "figures.json"
    assert main(["pointing", "--manifest", str(manifest), "--json", str(out)]) == 0
    assert json.loads(out.read_text())["all"]["n"] == 4
    capsys.readouterr()

    (tmp_path / "masks.csv").write_text("mask,image,kind\nm.png,nobody.png,opacity\n")
    with pytest.raises(ManifestError, match=r"nobody\.png"):
        score_pointing(manifest, predictor, LungSegmenter.load())
    (tmp_path / "masks.csv").write_text("mask,image,kind\n")
    with pytest.raises(ManifestError, match="outline"):
        score_pointing(manifest, predictor, LungSegmenter.load())
