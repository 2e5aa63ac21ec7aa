"""The X-ray as it is printed: the display rendition made smaller, once plain, once with heatmap."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass

from PIL import Image as Picture

from screening.inference.models import Result
from screening.studies import storage
from screening.studies.models import Image

logger = logging.getLogger(__name__)

LONG_SIDE = 1000
"""Pixels: 300 dots an inch on the 84 mm that a picture has. Whatever the file's size was, the
display rendition has 2048 at most, so a picture takes a few megabytes while it is drawn."""
QUALITY = 85
HEAT = 0.5
"""How strongly the heatmap is laid over the X-ray."""


@dataclass(frozen=True, slots=True, eq=False)
class Print:
    """A JPEG and its extent in pixels."""

    data: bytes
    width: int
    height: int


def print_xray(image: Image) -> Print | None:
    """The X-ray in grey; None where its file is gone."""
    grey = _open(image.display, "L")
    return _jpeg(grey) if grey is not None else None


def print_heatmap(image: Image, result: Result) -> Print | None:
    """The X-ray with the heatmap over it; None where a file is gone."""
    grey = _open(image.display, "L")
    heat = _open(result.heatmap, "RGBA") if result.heatmap else None
    if grey is None or heat is None:
        return None
    heat = heat.resize(grey.size, Picture.Resampling.BILINEAR)
    heat.putalpha(heat.getchannel("A").point([round(value * HEAT) for value in range(256)]))
    laid = Picture.alpha_composite(grey.convert("RGBA"), heat)
    return _jpeg(laid.convert("RGB"))


def _open(name: str, mode: str) -> Picture.Image | None:
    """A stored rendition in small. They are ours, and were checked when they were made."""
    try:
        picture: Picture.Image = Picture.open(io.BytesIO(storage.read(name)))
    except FileNotFoundError:
        logger.error("a stored picture is gone")
        return None
    picture.draft("L" if mode == "L" else "RGB", (LONG_SIDE, LONG_SIDE))
    picture = picture.convert(mode)
    picture.thumbnail((LONG_SIDE, LONG_SIDE), Picture.Resampling.LANCZOS)
    return picture


def _jpeg(picture: Picture.Image) -> Print:
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=QUALITY)
    return Print(target.getvalue(), *picture.size)
