"""The quality gate: chests pass, everything else is told to go."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ml.data import DATA_LIMITS, read_manifest
from ml.imaging import DecodedImage, decode
from ml.phantom import FINDINGS, draw_phantom, phantom_dicom, phantom_png
from ml.predict import Predictor
from ml.quality import (
    MESSAGES,
    STRANGERS,
    Bounds,
    Gate,
    fit_cloud,
    fit_films,
    load_gate,
    save_gate,
)

SIDE = 400


def png(values: npt.NDArray[np.floating] | npt.NDArray[np.uint8]) -> DecodedImage:
    if values.dtype != np.uint8:
        values = np.uint8(np.clip(values, 0, 1) * 255)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return decode(stream.getvalue())


def clouds(cells: int, seed: int) -> npt.NDArray[np.floating]:
    coarse = np.random.default_rng(seed).standard_normal((cells, cells)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    values = np.asarray(smooth)
    return (values - values.min()) / (values.max() - values.min())


def page(dark: bool, seed: int) -> npt.NDArray[np.uint8]:
    rng = random.Random(seed)
    picture = Image.new("L", (600, 800), 0 if dark else 255)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=16)
    for line in range(30, 770, 22):
        words = "".join(rng.choice("abcdefg hij klmno pqrst uvwxyz") for _ in range(60))
        pen.text((30, line), words, fill=255 if dark else 0, font=font)
    return np.array(picture)


def drawing(seed: int, blur: float = 0.0) -> npt.NDArray[np.uint8]:
    rng = random.Random(seed)
    picture = Image.new("L", (SIDE, SIDE), rng.choice([0, 128, 255]))
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y, wide, high = rng.randint(0, 350), rng.randint(0, 350), rng.randint(20, 200), 90
        pen.ellipse((x, y, x + wide, y + high), fill=rng.randint(0, 255))
    return np.array(picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture)


def photograph(seed: int) -> npt.NDArray[np.uint8]:
    """Coloured clouds: the statistics of a photograph, none of its content."""
    channels = [clouds(7, seed * 3 + channel) for channel in range(3)]
    return np.uint8(np.stack(channels, axis=-1) * 255)


def rings() -> npt.NDArray[np.floating]:
    axis = np.linspace(-1, 1, SIDE)
    return 0.5 + 0.5 * np.cos(np.hypot(*np.meshgrid(axis, axis)) * 25)


OTHERS = {
    "green square": np.tile(np.uint8([0, 200, 0]), (SIDE, SIDE, 1)),
    "black": np.zeros((SIDE, SIDE)),
    "grey": np.full((SIDE, SIDE), 0.5),
    "white": np.ones((SIDE, SIDE)),
    "gradient": np.tile(np.linspace(0, 1, SIDE), (SIDE, 1)),
    "checkers": np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((50, 50))),
    "rings": rings(),
    **{f"noise {n}": np.random.default_rng(n).random((SIDE * n, SIDE * n)) for n in (1, 2, 3)},
    **{f"clouds {n}": clouds(n, 5) for n in (4, 8, 16, 32, 64)},
    **{f"page {n}": page(n > 1, n) for n in range(4)},
    **{f"drawing {n}": drawing(n) for n in range(4)},
    **{f"soft drawing {n}": drawing(n, 6.0) for n in range(4)},
    **{f"photograph {n}": photograph(n) for n in range(4)},
    **{f"grey photograph {n}": photograph(n).mean(axis=-1) / 255.0 for n in range(4)},
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_what_is_no_radiograph_is_refused(predictor: Predictor, name: str) -> None:
    verdict = predictor.predict(png(OTHERS[name])).quality
    assert not verdict.accepted
    assert verdict.code == "not_a_radiograph"
    assert verdict.message == MESSAGES["not_a_radiograph"]


@pytest.mark.parametrize("finding", FINDINGS)
def test_phantoms_pass(predictor: Predictor, finding: str) -> None:
    for seed in range(1, 13):
        for size in ((512, 512), (720, 900)):
            data = phantom_png(seed, finding, size)  # type: ignore[arg-type]
            verdict = predictor.predict_bytes(data).quality
            assert verdict.accepted, (seed, size, verdict)
            assert (verdict.code, verdict.message) == (None, None)
    assert predictor.predict_bytes(phantom_dicom(3, finding)).quality.accepted  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gain", "offset", "code"),
    [(0.06, 0.0, "too_dark"), (0.1, 0.88, "too_bright"), (0.08, 0.4, "low_contrast")],
)
def test_bad_exposures_are_named(
    predictor: Predictor, gain: float, offset: float, code: str
) -> None:
    chest = draw_phantom(1, "normal", (SIDE, SIDE)) * np.float32(gain) + np.float32(offset)
    assert predictor.predict(png(chest)).quality.code == code


def test_a_slight_tint_passes(predictor: Predictor) -> None:
    chest = draw_phantom(1, "normal", (SIDE, SIDE))
    tinted = np.uint8(np.stack([chest * 0.93, chest, chest], axis=-1) * 255)
    assert predictor.predict(png(tinted)).quality.accepted


def test_real_x_rays_pass(predictor: Predictor, real_manifest: Path) -> None:
    rows = [row for row in read_manifest(real_manifest) if row.split == "val"][::4]
    refused = [
        row.name
        for row in rows
        if not predictor.predict_bytes(row.path.read_bytes(), DATA_LIMITS).quality.accepted
    ]
    assert len(refused) <= len(rows) * 0.02, refused


def test_a_drawn_chest_is_let_in_and_told_to_be_unlike_any_film(predictor: Predictor) -> None:
    for seed, finding in enumerate(FINDINGS):
        verdict = predictor.predict_bytes(phantom_png(seed, finding)).quality
        assert verdict.accepted
        assert verdict.unfamiliar


def test_real_x_rays_are_familiar(predictor: Predictor, real_manifest: Path) -> None:
    rows = [row for row in read_manifest(real_manifest) if row.split == "test"][::4]
    strange = [
        row.name
        for row in rows
        if predictor.predict_bytes(row.path.read_bytes(), DATA_LIMITS).quality.unfamiliar
    ]
    assert len(strange) <= len(rows) * 0.03, strange


def test_what_lies_outside_the_films_is_unfamiliar(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    films, watched = rng.normal(size=(2, 500, 8)).astype(np.float32)
    drawn = (rng.normal(size=(60, 8)) * 0.1 + 4.0).astype(np.float32)
    known = fit_films(films, watched)
    gate = Gate(fit_cloud(np.concatenate([films, drawn])), Bounds(distance=9.0), known)
    save_gate(gate, tmp_path / "gate.npz")
    chest = draw_phantom(1, "normal", (SIDE, SIDE))
    for one in (gate, load_gate(tmp_path / "gate.npz")):
        verdict = one.judge(chest, 0.0, drawn[0])
        assert (verdict.accepted, verdict.unfamiliar) == (True, True)
        shares = [one.judge(chest, 0.0, film).unfamiliar for film in watched]
        assert sum(shares) <= STRANGERS * len(watched) + 1


def test_a_gate_that_does_not_know_films_calls_nothing_unfamiliar(tmp_path: Path) -> None:
    features = np.random.default_rng(5).normal(size=(100, 4)).astype(np.float32)
    save_gate(Gate(fit_cloud(features), Bounds()), tmp_path / "gate.npz")
    gate = load_gate(tmp_path / "gate.npz")
    assert gate.films is None
    chest = draw_phantom(1, "normal", (SIDE, SIDE))
    assert not gate.judge(chest, 0.0, features[0] + 100).unfamiliar
