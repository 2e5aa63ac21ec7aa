"""A drawn chest: seeded, plausible at a glance, and nobody's.

Everything is painted as density on a coarse grid in body coordinates: x runs from -1 (the patient's
right, the picture's left) to 1 across the trunk, y from 0 (chin) to 1 (upper abdomen). The grid is
then enlarged, and grain and marker are added at full size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FloatArray = npt.NDArray[np.floating[Any]]
Finding = Literal["normal", "pneumonia", "covid"]
FINDINGS: Final[tuple[Finding, ...]] = ("normal", "pneumonia", "covid")

GRID: Final = 512
"""Longest side of the coarse grid in pixels."""


@dataclass(frozen=True, slots=True)
class Build:
    """What differs between one drawn body and the next."""

    width: float
    heart: float
    breath: float
    tilt: float
    rib_gap: float
    fat: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Build:
        return cls(
            width=float(rng.uniform(0.95, 1.06)),
            heart=float(rng.uniform(0.9, 1.12)),
            breath=float(rng.uniform(-0.025, 0.03)),
            tilt=float(rng.normal(0.0, 0.012)),
            rib_gap=float(rng.uniform(0.96, 1.05)),
            fat=float(rng.uniform(0.0, 1.0)),
        )


def draw_phantom(
    seed: int, finding: Finding | None = None, size: tuple[int, int] = (1024, 1024)
) -> npt.NDArray[np.float32]:
    """Draw a chest.

    :param finding: what the lungs show; None lets the seed choose.
    :param size: width and height in pixels, each at least 64.
    :returns: (h, w) float32 in [0, 1], white is dense. The same arguments give the same picture.
    :raises ValueError: for an unknown finding or too small a size.
    """
    width, height = size
    if min(width, height) < 64:
        raise ValueError("a phantom needs at least 64 pixels on each side")
    rng = np.random.default_rng((seed, 0xC4E57))
    chosen = finding if finding is not None else FINDINGS[int(rng.integers(len(FINDINGS)))]
    if chosen not in FINDINGS:
        raise ValueError(f"unknown finding {chosen!r}")
    build = Build.draw(rng)
    scale = min(1.0, GRID / max(width, height))
    grid = max(64, round(width * scale)), max(64, round(height * scale))
    x, y = _coordinates(grid, build)
    density = _chest(x, y, build, chosen, rng)
    greys = Image.fromarray(_film(density)).resize((width, height), Image.Resampling.BICUBIC)
    picture = np.asarray(greys, dtype=np.float32).copy()
    picture += _grain((height, width), picture, rng)
    _mark_side(picture)
    return np.clip(picture, 0.0, 1.0, out=picture)


def _coordinates(grid: tuple[int, int], build: Build) -> tuple[FloatArray, FloatArray]:
    width, height = grid
    unit = min(width / 2.0, height / 1.9)
    across = (np.arange(width, dtype=np.float32) + 0.5 - width / 2.0) / np.float32(unit)
    down = (np.arange(height, dtype=np.float32) + 0.5 - height / 2.0) / np.float32(unit)
    y = (down[:, None] / 1.98 + 0.5).astype(np.float32)
    x = (across[None, :] / build.width - build.tilt * (y - 0.5) * 4.0).astype(np.float32)
    return np.broadcast_to(x, (height, width)), np.broadcast_to(y, (height, width))


def _step(distance: FloatArray, softness: float) -> FloatArray:
    """0 below and 1 above zero, with an edge of the given half-width."""
    drawn: FloatArray = 0.5 + 0.5 * np.tanh(distance * np.float32(1.0 / softness))
    return drawn


def _bump(distance: FloatArray, radius: float) -> FloatArray:
    """A flat-topped ridge of the given half-width around zero."""
    squared = np.square(distance * np.float32(1.0 / radius))
    drawn: FloatArray = np.exp(-np.square(squared))
    return drawn


def _smooth_noise(shape: tuple[int, ...], cells: int, rng: np.random.Generator) -> FloatArray:
    """Clouds of about the given number across, mean 0, spread 1, shape (h, w) float32."""
    coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    picture = Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    clouds = np.asarray(picture, dtype=np.float32)
    drawn: FloatArray = (clouds - clouds.mean()) / (clouds.std() + np.float32(1e-6))
    return drawn


def _chest(
    x: FloatArray, y: FloatArray, build: Build, finding: Finding, rng: np.random.Generator
) -> FloatArray:
    side = np.abs(x)
    body = _body(side, y, build)
    organs, airways = _mediastinum(x, side, y, build)
    lungs = _lungs(x, side, y, build) * (1.0 - 0.80 * organs)
    density = body * 0.60
    density += 0.07 * _smooth_noise(x.shape, 5, rng) * body * 0.4
    density -= lungs * (0.47 + 0.05 * (y - 0.4))
    density += (0.13 * organs + airways) * body
    density += _skeleton(x, side, y, build) * body
    density += _vessels(x.shape, x, y, rng) * lungs
    density += 0.012 * _smooth_noise(x.shape, 42, rng) * lungs
    density += _opacities(x, side, y, finding, rng) * lungs
    density -= 0.16 * _bubble(x, y, build)
    return density


def _body(side: FloatArray, y: FloatArray, build: Build) -> FloatArray:
    """The trunk with neck and shoulders; arms leave the picture at its sides."""
    neck = 0.25 + 0.03 * build.fat
    shoulders = neck + 0.85 * _step(y - 0.135 + 0.02 * build.fat, 0.045) * np.clip(
        0.55 + y * 2.2, 0.0, 1.0
    )
    waist = 0.93 + 0.05 * build.fat - 0.10 * _step(y - 0.42, 0.16)
    edge = np.minimum(shoulders, np.maximum(waist, 1.12 - 1.1 * np.clip(y - 0.13, 0, 1)))
    depth = np.sqrt(np.clip(1.0 - np.square(side / (edge + 0.02)), 0.0, 1.0))
    drawn: FloatArray = _step(edge - side, 0.012) * (0.42 + 0.58 * depth)
    return drawn


def _lungs(x: FloatArray, side: FloatArray, y: FloatArray, build: Build) -> FloatArray:
    right = x < 0
    rise = np.clip((y - 0.125) / 0.50, 0.0, 1.0)
    outer = 0.10 + 0.66 * np.power(np.clip(1.0 - np.power(1.0 - rise, 2.5), 0, 1), 0.55)
    inner = 0.115 + 0.03 * np.square((y - 0.45) / 0.3)
    dome = np.where(right, 0.735, 0.765) + build.breath
    floor = (
        dome
        + 0.62 * np.square(side - 0.36)
        + np.where(side > 0.36, 0.30, 0.0) * np.power(np.clip(side - 0.36, 0, 1), 1.7)
    )
    shape = _step(outer - side, 0.014) * _step(side - inner, 0.02) * _step(floor - y, 0.007)
    thick = np.clip(1.15 - 0.75 * np.square((side - 0.40) / 0.42), 0.55, 1.0)
    apex = 0.72 + 0.28 * np.clip((y - 0.12) / 0.16, 0.0, 1.0)
    drawn: FloatArray = shape * thick * apex
    return drawn


def _mediastinum(
    x: FloatArray, side: FloatArray, y: FloatArray, build: Build
) -> tuple[FloatArray, FloatArray]:
    """How far heart and great vessels fill each place, 0 to 1; density of hila and windpipe."""
    r = build.heart
    turned_x = (x - 0.10) * 0.93 + (y - 0.635) * 0.62
    turned_y = (y - 0.635) * 0.93 - (x - 0.10) * 0.20
    heart = _step(1.0 - np.hypot(turned_x / (0.345 * r), turned_y / (0.150 * r)), 0.075)
    atrium = _step(1.0 - np.hypot((x + 0.06) / (0.155 * r), (y - 0.62) / 0.125), 0.10)
    knob = _step(1.0 - np.hypot((x - 0.105) / 0.085, (y - 0.33) / 0.055), 0.16)
    outlet = _step(1.0 - np.hypot((x - 0.11) / 0.100, (y - 0.45) / 0.075), 0.22)
    cava = _step(0.135 - np.abs(x + 0.02), 0.018) * _step(y - 0.12, 0.05)
    waist = _step(0.135 - np.abs(x), 0.03) * _step(y - 0.30, 0.05)
    organs = np.maximum.reduce([heart, 0.92 * atrium, 0.75 * knob, 0.7 * outlet, 0.6 * cava, waist])
    hilum = np.exp(-np.square((side - 0.165) / 0.06) - np.square((y - 0.455) / 0.045))
    pipe = _step(0.042 - np.abs(x + 0.004), 0.012) * _step(0.375 - y, 0.03)
    branch = np.exp(-np.square((side - (0.02 + 1.35 * (y - 0.36))) / 0.028))
    branch *= _step(y - 0.36, 0.012) * _step(0.45 - y, 0.015)
    return organs, 0.13 * hilum - 0.12 * pipe - 0.06 * branch


def _skeleton(x: FloatArray, side: FloatArray, y: FloatArray, build: Build) -> FloatArray:
    wall = np.clip((y - 0.10) / 0.52, 0.0, 1.0)
    outer = 0.14 + 0.68 * np.power(np.clip(1.0 - np.power(1.0 - wall, 2.5), 0, 1), 0.55)
    inside = _step(outer - side, 0.016)
    bones = np.zeros_like(x)
    lean = np.power(side / 0.75, 2.6)
    arch = np.sin(np.clip(side / 0.78, 0, 1) * np.float32(np.pi))
    for number in range(10):
        middle = 0.165 + 0.0665 * number * build.rib_gap
        line = middle - 0.030 * arch + (0.055 + 0.0085 * number) * lean
        bones += 0.075 * _rib(y - line, 0.0165) * inside * _step(side - 0.05, 0.02)
    for number in range(7):
        middle = 0.20 + 0.078 * number * build.rib_gap
        line = middle + 0.235 * np.clip(0.74 - side, 0, 1) + 0.10 * np.square(0.74 - side)
        fade = inside * _step(side - (0.27 + 0.014 * number), 0.035)
        bones += 0.048 * _rib(y - line, 0.0185) * fade
    collar = 0.205 - 0.125 * side - 0.018 * np.sin(side * 9.0)
    bones += 0.115 * _rib(y - collar, 0.0205) * _step(side - 0.075, 0.02) * _step(0.80 - side, 0.05)
    blade_edge = 0.66 + 0.14 * np.sin((y - 0.16) * 7.0)
    blade = _step(side - blade_edge, 0.02) * _step(0.47 - y, 0.04) * _step(y - 0.15, 0.03)
    head = _step(1.0 - np.hypot((side - 1.02) / 0.15, (y - 0.205) / 0.085), 0.06)
    bones += 0.085 * blade + 0.17 * head
    level = np.cos(y * np.float32(2 * np.pi / 0.066))
    spine = _step(0.078 - np.abs(x), 0.014) * (0.065 + 0.016 * level)
    spine += 0.030 * _bump(np.abs(x) - 0.066, 0.014) * (0.6 + 0.4 * level)
    drawn: FloatArray = bones + spine
    return drawn


def _rib(distance: FloatArray, radius: float) -> FloatArray:
    """Across a flat bone: the hard rim shows more than the marrow."""
    ratio = np.square(distance * np.float32(1.0 / radius))
    drawn: FloatArray = np.exp(-np.square(ratio)) * (0.62 + 0.52 * np.minimum(ratio, 1.3))
    return drawn


def _vessels(
    shape: tuple[int, ...], x: FloatArray, y: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Branches that leave each hilum and thin out towards the edge of the lung."""
    height, width = shape
    left, right = float(x[0, 0]), float(x[0, -1])
    top, bottom = float(y[0, 0]), float(y[-1, 0])
    total = np.zeros((height, width), dtype=np.float32)
    layers = [Image.new("L", (width, height)) for _ in range(3)]
    pens = [ImageDraw.Draw(layer) for layer in layers]

    def grow(px: float, py: float, angle: float, length: float, level: int) -> None:
        for _ in range(5):
            qx, qy = px + np.cos(angle) * length / 5, py + np.sin(angle) * length / 5 * 0.55
            ends = [
                ((vx - left) / (right - left) * width, (vy - top) / (bottom - top) * height)
                for vx, vy in ((px, py), (qx, qy))
            ]
            thick = max(1, round((7.0, 3.6, 1.6)[level] * width / 512))
            pens[level].line([*ends[0], *ends[1]], fill=255, width=thick)
            px, py, angle = qx, qy, angle + float(rng.normal(0.0, 0.10))
        if level < 2:
            for _ in range(3):
                turn = float(rng.normal(0.0, 0.42))
                grow(px, py, angle + turn, length * float(rng.uniform(0.6, 0.95)), level + 1)

    for sign in (-1.0, 1.0):
        for angle in np.linspace(-1.15, 1.25, 7):
            heading = float(angle + rng.normal(0, 0.1))
            grow(
                sign * 0.15,
                0.455,
                heading if sign > 0 else np.pi - heading,
                float(rng.uniform(0.12, 0.2)),
                0,
            )
    for layer, weight, blur in zip(layers, (0.085, 0.062, 0.05), (3.0, 1.7, 1.0), strict=True):
        softened = layer.filter(ImageFilter.GaussianBlur(blur * width / 512))
        total += np.asarray(softened, dtype=np.float32) * np.float32(weight / 255.0)
    return total


def _opacities(
    x: FloatArray, side: FloatArray, y: FloatArray, finding: Finding, rng: np.random.Generator
) -> FloatArray:
    cloud = np.zeros_like(x)
    if finding == "normal":
        return cloud
    texture = 1.0 + 0.20 * _smooth_noise(x.shape, 22, rng)
    texture += 0.10 * _smooth_noise(x.shape, 50, rng)
    if finding == "pneumonia":
        sign = 1.0 if rng.random() < 0.4 else -1.0
        cx, cy = sign * float(rng.uniform(0.36, 0.48)), float(rng.uniform(0.56, 0.66))
        for _ in range(7):
            place = cx + float(rng.normal(0, 0.09)), cy + float(rng.normal(0, 0.045))
            cloud += 0.13 * _puff(x, y, place, float(rng.uniform(0.09, 0.16)))
        dense: FloatArray = np.minimum(cloud, 0.36) * np.clip(texture, 0.4, 1.6)
        return dense
    for sign in (-1.0, 1.0):
        for _ in range(6):
            place = sign * float(rng.uniform(0.46, 0.68)), float(rng.uniform(0.40, 0.72))
            cloud += 0.11 * _puff(x, y, place, float(rng.uniform(0.08, 0.15)))
    edge = 0.5 + 0.8 * np.clip(side, 0, 1)
    hazy: FloatArray = np.minimum(cloud, 0.25) * np.clip(texture, 0.3, 1.7) * edge
    return hazy


def _puff(x: FloatArray, y: FloatArray, place: tuple[float, float], radius: float) -> FloatArray:
    across, down = (x - place[0]) / radius, (y - place[1]) / (radius / 1.9)
    drawn: FloatArray = np.exp(-np.square(across) - np.square(down))
    return drawn


def _bubble(x: FloatArray, y: FloatArray, build: Build) -> FloatArray:
    """Air in the stomach, under the left dome."""
    top = y - (0.80 + build.breath)
    return _step(1.0 - np.hypot((x - 0.42) / 0.13, top / 0.035), 0.18)


def _film(density: FloatArray) -> FloatArray:
    """The film's response: a gentle shoulder at both ends."""
    exposed = np.clip(density * 1.12 + 0.035, 0.0, None)
    drawn: FloatArray = (1.0 - np.exp(-1.55 * np.power(exposed, 1.08))).astype(np.float32)
    return drawn


def _grain(shape: tuple[int, int], picture: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Fine grain, a little stronger where the film is bright."""
    height, width = shape
    coarse = rng.standard_normal((height // 2 + 1, width // 2 + 1), dtype=np.float32)
    enlarged = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
    fine = rng.standard_normal(shape, dtype=np.float32)
    mixed = np.asarray(enlarged, dtype=np.float32) * np.float32(0.010) + fine * np.float32(0.005)
    drawn: FloatArray = mixed * (np.float32(0.45) + picture)
    return drawn


def _mark_side(picture: FloatArray) -> None:
    """The lead letter on the patient's right."""
    height, width = picture.shape
    size = max(10, min(height, width) // 22)
    letter = Image.new("L", (size * 2, size * 2))
    ImageDraw.Draw(letter).text(
        (size // 2, size // 4), "R", fill=255, font=ImageFont.load_default(size=size)
    )
    lead = np.asarray(letter, dtype=np.float32) * np.float32(0.88 / 255.0)
    top, left = round(height * 0.055), round(width * 0.045)
    patch = picture[top : top + size * 2, left : left + size * 2]
    np.maximum(patch, lead[: patch.shape[0], : patch.shape[1]], out=patch)
