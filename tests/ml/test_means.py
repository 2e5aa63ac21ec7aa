"""What a head is fitted on: looked at once, by name, and the same in every process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml import data, lite, means
from ml.bench.phantoms import draw_bench_set
from ml.data import Row
from ml.lite_weights import load_weights
from ml.means import NOBODY, measure_exchanged, measure_means
from ml.view import LOOKS
from tests.ml.test_lite import released_backbone

SIZE = 32


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    found = data.read_manifest(draw_bench_set(tmp_path_factory.mktemp("phantoms")))
    return [row for row in found if row.label in ("covid", "normal")][:12]


@pytest.fixture(scope="module")
def weights() -> lite.Weights:
    return load_weights(released_backbone())


def test_means_are_looked_up_by_name(
    rows: list[Row], weights: lite.Weights, tmp_path: Path
) -> None:
    said: list[str] = []
    cache = tmp_path / "means.npz"
    first = measure_means(rows[:6], weights, SIZE, "lungs", cache, said.append)
    assert first.shape == (6, LOOKS, lite.FEATURES)
    count = len(said)
    again = measure_means(rows[5::-2], weights, SIZE, "lungs", cache, said.append)
    assert len(said) == count, "read from the file"
    assert np.array_equal(again, first[::-2])
    other = measure_means(rows[:6], weights, SIZE, "whole", cache, said.append)
    assert len(said) > count, "another view is another question"
    assert other.shape == (6, 1, lite.FEATURES)


def test_several_processes_see_the_same(
    rows: list[Row], weights: lite.Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> np.ndarray:
        return measure_means(rows[:4], weights, SIZE, "lungs", None, lambda _: None)

    one = look()
    monkeypatch.setattr(means, "WORTH_A_POOL", 1)
    assert np.array_equal(one, look())


def test_the_mirror_shows_the_picture_turned_over(
    rows: list[Row], weights: lite.Weights, tmp_path: Path
) -> None:
    with Image.open(rows[0].path) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "turned.png")
    turned = Row(tmp_path / "turned.png", "normal", name="turned.png")
    cache = tmp_path / "means.npz"

    def look(row: Row, mirror: bool) -> np.ndarray:
        return measure_means([row], weights, SIZE, "lungs", cache, lambda _: None, mirror=mirror)

    plain, mirrored = look(rows[0], False), look(rows[0], True)
    assert np.abs(plain - mirrored).max() > 1e-3, "what was kept of the plain look is not used"
    np.testing.assert_allclose(look(turned, False), mirrored, atol=1e-5)


def test_a_third_is_seen_in_the_surroundings_of_others(
    rows: list[Row], weights: lite.Weights, tmp_path: Path
) -> None:
    said: list[str] = []
    cache = tmp_path / "exchanged.npz"
    found = measure_exchanged(rows, weights, SIZE, cache, said.append)
    assert found.means.shape == (len(found.names), LOOKS, lite.FEATURES)
    assert set(found.names) <= {row.name for row in rows[:: means.EXCHANGED_EVERY]}
    assert found.names
    known = {row.name for row in rows}
    assert set(found.donors) <= known | {NOBODY}
    plain = measure_means(
        [row for row in rows if row.name in found.names],
        weights,
        SIZE,
        "lungs",
        None,
        said.append,
    )
    change = np.abs(found.means - plain).mean(axis=(0, 2))
    assert change[0] > 2 * change[2] > 0, "the lungs alone hardly know where they are"
    count = len(said)
    again = measure_exchanged(rows, weights, SIZE, cache, said.append)
    assert len(said) == count, "read from the file"
    assert np.array_equal(again.means, found.means)
    assert again.donors == found.donors
    measure_exchanged(rows[:9], weights, SIZE, cache, said.append)
    assert len(said) > count, "other pictures are another question"


def test_nothing_of_a_picture_that_is_left_out_comes_in() -> None:
    found = means.Exchanged(("a", "b", "c", "d"), ("b", NOBODY, "a", "c"), np.zeros((4, 1, 1)))
    assert found.among({"a", "b", "c", "d"}) == [0, 1, 2, 3]
    assert found.among({"a", "c", "d"}) == [2, 3], "b was left out, and a had its surroundings"
    assert found.among({"b"}) == [1]
