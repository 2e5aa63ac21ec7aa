"""The lung segmenter: it finds lungs where there are some, and says so when there are none."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ml import package
from ml.cli import main
from ml.data import DATA_LIMITS, read_manifest
from ml.imaging import decode
from ml.lungs import (
    ACTIVE,
    LITERT_FILE,
    LungSegmenter,
    dice,
    dilate,
    drop_specks,
    judge,
    overlay,
    resize_mask,
    split_fields,
)
from ml.lungs_data import load_outlined, split_outlined, vary
from ml.package import PackageError
from ml.phantom import FINDINGS, draw_phantom, phantom_png
from tests.ml.others import clouds, text_page


@pytest.fixture(scope="module")
def segmenter() -> LungSegmenter:
    return LungSegmenter.load()


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize("size", [(512, 512), (600, 820), (900, 640)])
def test_phantoms_have_two_lungs(
    segmenter: LungSegmenter, finding: str, size: tuple[int, int]
) -> None:
    lungs = segmenter.find(draw_phantom(3, finding, size))  # type: ignore[arg-type]
    assert lungs.found
    assert lungs.message is None
    assert lungs.mask.shape == (segmenter.size, segmenter.size)
    assert 0.15 < lungs.measures["area"] < 0.55
    rows, columns = np.nonzero(lungs.mask)
    assert 0.25 < rows.mean() / segmenter.size < 0.65
    assert 0.4 < columns.mean() / segmenter.size < 0.6
    # the spine is no lung
    assert lungs.mask[segmenter.size // 3 : segmenter.size // 2, segmenter.size // 2].mean() < 0.2


def test_lungs_are_found_wherever_they_lie(segmenter: LungSegmenter) -> None:
    """A picture with a wide black frame: the mask moves and shrinks with the chest."""
    chest = draw_phantom(5, "normal", (400, 400))
    framed = np.zeros((640, 640), dtype=np.float32)
    framed[40:440, 200:600] = chest
    whole, moved = segmenter.find(chest), segmenter.find(framed)
    expected = np.zeros((640, 640), dtype=bool)
    expected[40:440, 200:600] = resize_mask(whole.mask, (400, 400))
    assert moved.found
    assert dice(resize_mask(moved.mask, (640, 640)), expected) > 0.9


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((300, 300)),
        np.full((300, 300), 0.6),
        np.tile(np.linspace(0, 1, 300), (300, 1)),
        text_page(False, 1) / 255.0,
        text_page(True, 2) / 255.0,
        clouds(64, 1),
        np.random.default_rng(5).normal(0.5, 0.1, (300, 300)),
    ],
)
def test_no_lungs_are_said_to_be_missing(segmenter: LungSegmenter, values: np.ndarray) -> None:
    lungs = segmenter.find(values.astype(np.float32))
    assert not lungs.found
    assert lungs.message


def test_the_same_picture_gives_the_same_lungs(segmenter: LungSegmenter) -> None:
    chest = draw_phantom(7, "covid", (300, 300))
    first = segmenter.find(chest)
    segmenter.find(draw_phantom(8, "normal", (500, 400)))
    assert np.array_equal(first.probability, segmenter.find(chest).probability)
    other = LungSegmenter.load()
    assert np.array_equal(first.probability, other.find(chest).probability)


def test_it_is_quick_and_small(segmenter: LungSegmenter) -> None:
    chest = draw_phantom(1, "normal", (128, 128))
    best = 9.0
    for _ in range(20):
        started = time.perf_counter()
        segmenter.find(chest)
        best = min(best, time.perf_counter() - started)
    assert best < 0.02  # about 0.003 s on an idle core
    assert sum(file.stat().st_size for file in segmenter.path.iterdir()) < 2_000_000


def test_the_manifest_tells_what_it_rests_on(segmenter: LungSegmenter) -> None:
    dices = segmenter.manifest["metrics"]["dice"]
    assert dices["held_out"]["dice_mean"] > 0.9
    assert dices["held_out"]["n"] + segmenter.manifest["training"]["counts"]["train"] > 80
    assert segmenter.path.name == f"{segmenter.name}-{segmenter.version}"


def test_a_damaged_segmenter_is_refused(tmp_path: Path) -> None:
    def code() -> str:
        with pytest.raises(PackageError) as caught:
            LungSegmenter.load(folder)
        return caught.value.code

    folder = tmp_path / "lungs"
    assert code() == "model_missing"
    shutil.copytree(package.MODELS / ACTIVE, folder)
    file, manifest = folder / LITERT_FILE, folder / package.MANIFEST
    good = file.read_bytes()
    file.write_bytes(good[:-1] + b"?")
    assert code() == "model_hash_mismatch"
    file.write_bytes(b"no network")
    content = json.loads(manifest.read_text())
    content["sha256"][LITERT_FILE] = package.hash_file(file)
    manifest.write_text(json.dumps(content))
    assert code() == "model_invalid"
    file.write_bytes(good)
    content["sha256"][LITERT_FILE] = package.hash_file(file)
    manifest.write_text(json.dumps(content | {"preprocessing_version": 99}))
    assert code() == "model_preprocessing_mismatch"
    manifest.write_text(json.dumps({"name": "lungs"}))
    assert code() == "model_invalid"
    manifest.write_text("{")
    assert code() == "model_invalid"


def fields(left: tuple[int, int], right: tuple[int, int]) -> np.ndarray:
    """Two upright ovals given by half width and half height."""
    rows, columns = np.mgrid[:128, :128]
    drawn = np.zeros((128, 128))
    for (wide, high), middle in ((left, 40), (right, 88)):
        if wide:
            drawn[np.hypot((columns - middle) / wide, (rows - 60) / high) < 1] = 0.99
    return drawn.astype(np.float32)


@pytest.mark.parametrize(
    ("probability", "code"),
    [
        (fields((18, 40), (16, 38)), None),
        (fields((18, 40), (0, 0)), "one_lung"),
        (fields((24, 50), (9, 12)), "one_lung"),
        (fields((4, 8), (4, 8)), "no_lungs"),
        (np.zeros((128, 128), dtype=np.float32), "no_lungs"),
        (np.ones((128, 128), dtype=np.float32), "lungs_too_large"),
        (np.where(fields((18, 40), (16, 38)) > 0, 0.6, 0.3).astype(np.float32), "lungs_uncertain"),
    ],
)
def test_what_can_be_two_lungs(probability: np.ndarray, code: str | None) -> None:
    lungs = judge(probability)
    assert lungs.code == code
    assert (lungs.message is None) == (code is None)


def test_fields_that_touch_are_still_two() -> None:
    drawn = fields((18, 40), (16, 38))
    drawn[50:58, 50:80] = 0.99
    assert judge(drawn).found


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.02, 0.7))
def test_patches_are_those_of_a_flood(seed: int, share: float) -> None:
    """Against the plainest possible way to find connected patches."""
    mask = np.random.default_rng(seed).random((14, 17)) < share
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}
    expected = np.zeros_like(mask)
    while left:
        patch, edge = set(), [left.pop()]
        while edge:
            row, column = edge.pop()
            patch.add((row, column))
            beside = {(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)}
            edge.extend(beside & left)
            left -= beside
        if len(patch) >= 5:
            for place in patch:
                expected[place] = True
    assert np.array_equal(drop_specks(mask, 5 / mask.size), expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), radius=st.integers(1, 4))
def test_widening_reaches_just_so_far(seed: int, radius: int) -> None:
    mask = np.random.default_rng(seed).random((15, 19)) < 0.05
    expected = np.zeros_like(mask)
    for row, column in zip(*np.nonzero(mask), strict=True):
        top, left = max(0, row - radius), max(0, column - radius)
        expected[top : row + radius + 1, left : column + radius + 1] = True
    assert np.array_equal(dilate(mask, radius), expected)


def test_masks_move_with_their_picture() -> None:
    """A white block stays where its mask is, whatever the variant."""
    square, mask = np.zeros((64, 64), dtype=np.uint8), np.zeros((64, 64), dtype=np.uint8)
    square[20:44, 14:30] = 255
    mask[20:44, 14:30] = 255
    agreeing = []
    for seed in range(60):
        picture, drawn = vary(square, mask, np.random.default_rng(seed))
        assert picture.shape == drawn.shape == (64, 64)
        assert picture.dtype == drawn.dtype == np.float32
        bright = picture > picture.mean()
        agreeing.append(max(dice(bright, drawn > 0), dice(~bright, drawn > 0)))
    # noise, blots and frames spoil some pictures, a mask that stays behind would spoil nearly all
    assert np.mean(np.array(agreeing) > 0.8) > 0.5


def test_no_group_is_taught_and_measured(real_manifest: Path) -> None:
    pairs, _ = load_outlined(real_manifest, 64)
    parts = split_outlined(pairs, 1)
    groups = {name: {row.group for row, _ in chosen} for name, chosen in parts.items()}
    assert not groups["train"] & (groups["held_out"] | groups["unseen"])
    assert not groups["held_out"] & groups["unseen"]
    assert all(row.split in ("train", "bench") for row, _ in parts["train"] + parts["held_out"])
    assert len(parts["one_lung"]) == 2
    assert sum(len(chosen) for chosen in parts.values()) == len(pairs)
    assert split_outlined(pairs, 1) == parts


def test_real_films_of_every_source_have_lungs(
    segmenter: LungSegmenter, real_manifest: Path
) -> None:
    rows = [row for row in read_manifest(real_manifest) if row.split == "val"][::8]
    missed = [
        row.name
        for row in rows
        if not segmenter.find(decode(row.path.read_bytes(), DATA_LIMITS).pixels).found
    ]
    assert len(missed) <= len(rows) * 0.01, missed


def test_the_overlay_shows_them(segmenter: LungSegmenter) -> None:
    chest = draw_phantom(2, "normal", (300, 260))
    drawn = np.asarray(overlay(chest, segmenter.find(chest))).astype(int)
    assert drawn.shape == (260, 300, 3)
    assert (drawn[..., 0] > drawn[..., 1] + 20).mean() > 0.15


def test_the_command_shows_what_it_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(phantom_png(1, "normal", (300, 300)))
    (tmp_path / "b.png").write_bytes(b"nothing")
    out = tmp_path / "seen.png"
    status = main(
        ["lungs", "show", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--out", str(out)]
    )
    said = capsys.readouterr()
    assert status == 1
    assert "Lungs found." in said.out
    assert "unsupported_type" in said.err
    assert Image.open(out).size == (300, 300)


def test_fields_of_nothing() -> None:
    assert split_fields(np.zeros((8, 8), dtype=bool)) == (0.0, 0.0)


def test_training_goes_through_every_line(tmp_path: Path) -> None:
    """Seconds on phantoms with ovals for outlines; the network learns nothing but is a package."""
    from ml.lungs_train import LungConfig, train_lungs

    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    lines, listed = ["path,label,source,group,split"], ["mask,image,kind"]
    for number in range(10):
        split = "test" if number == 9 else "train"
        name = f"images/{number}.png"
        (tmp_path / name).write_bytes(phantom_png(number, "normal", (200, 200)))
        lines.append(f"{name},normal,phantom,g{number},{split}")
        if number % 2 or number == 0:
            mask = Image.fromarray(np.uint8(fields((18, 40), (16, 38)) * 255)).convert("1")
            mask.save(tmp_path / "masks" / f"{number}.png")
            listed.append(f"masks/{number}.png,{name},lungs")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "masks.csv").write_text("\n".join(listed) + "\n")
    config = LungConfig(size=32, batch=2, first_steps=2, second_steps=2, guesses=3)
    said: list[str] = []
    out = tmp_path / "lungs-0.0.1"
    content = train_lungs(tmp_path / "manifest.csv", out, config, "0.0.1", said.append)
    assert content["training"]["counts"]["unseen"] == 1
    assert content["training"]["counts"]["train"] == 4
    loaded = LungSegmenter.load(out)
    assert loaded.find(draw_phantom(1, "normal", (200, 200))).mask.shape == (32, 32)
    with pytest.raises(FileExistsError):
        train_lungs(tmp_path / "manifest.csv", out, config, "0.0.1", said.append)
