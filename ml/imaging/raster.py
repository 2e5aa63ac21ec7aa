"""PNG and JPEG: header and pixels, through Pillow.

Pillow checks its own bomb limit while opening; ours is lower and is checked on the header, before
any pixel is decoded, so Pillow's process-wide setting is left alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

from ml.imaging.base import (
    BoundedReader,
    DecodedImage,
    FloatArray,
    Format,
    ImageHeader,
    ImagingError,
    Limits,
)
from ml.imaging.rows import rows_are_complete
from ml.imaging.values import GreyValues, whole_range

ORIENTATION_TAG: Final = 0x0112
TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""
COLOUR_SAMPLES: Final = 250_000
PNG_GREY_TYPES: Final = (0, 4)


def read_raster_header(data: bytes, kind: Format, limits: Limits) -> ImageHeader:
    """:raises ImagingError: see ``ml.imaging.read_header``."""
    with _open(data, kind, limits) as picture:
        return _header(picture, data, kind, limits)


def decode_raster(data: bytes, kind: Format, limits: Limits) -> DecodedImage:
    """:raises ImagingError: see ``ml.imaging.decode``."""
    with _open(data, kind, limits) as picture:
        header = _header(picture, data, kind, limits)
        turn = _turn(picture, limits)
        try:
            if kind == "png" and not rows_are_complete(data):
                limits.refuse("corrupt_image")
            picture.load()
            upright = picture.transpose(turn) if turn is not None else picture
            pixels, colourfulness = _grey(upright)
        except ImagingError:
            raise
        except limits.interrupts:
            raise
        # a damaged file makes Pillow's parsers raise nearly anything
        except Exception:
            limits.refuse("corrupt_image")
    if pixels.shape != (header.height, header.width):
        limits.refuse("corrupt_image")
    return DecodedImage(pixels, header, colourfulness)


def decode_raster_values(data: bytes, kind: Format, limits: Limits) -> GreyValues:
    """:raises ImagingError: see ``ml.imaging.decode_values``."""
    decoded = decode_raster(data, kind, limits)
    # colours and transparency are turned into eight bits of grey whatever they came from
    deep = decoded.header.bits_stored > 8 and decoded.header.photometric == "MONOCHROME2"
    top = 65535 if deep else 255
    values = np.rint(decoded.pixels * np.float32(top)).astype("<u2" if deep else "u1")
    return GreyValues(
        values=values,
        header=decoded.header,
        windows=(whole_range(0, top),),
        minimum=float(values.min()),
        maximum=float(values.max()),
    )


def _open(data: bytes, kind: Format, limits: Limits) -> Image.Image:
    try:
        return Image.open(BoundedReader(data), formats=[kind.upper()])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limits.refuse("too_many_pixels")
    except limits.interrupts:
        raise
    except Exception:
        limits.refuse("corrupt_image")


def _header(picture: Image.Image, data: bytes, kind: Format, limits: Limits) -> ImageHeader:
    width, height = picture.size
    limits.check_extent(width, height)
    # further pictures of a JPEG are previews of a camera; those of a PNG are an animation
    if kind == "png" and getattr(picture, "is_animated", False):
        limits.refuse("unsupported_type")
    if _turn(picture, limits) in (TURNS[5], TURNS[6], TURNS[7], TURNS[8]):
        width, height = height, width
    # a PNG's first chunk: 8 bytes signature, 8 of chunk head, width, height, bit depth, colour type
    bits = data[24] if kind == "png" else 8
    grey = data[25] in PNG_GREY_TYPES if kind == "png" else picture.mode == "L"
    return ImageHeader(
        format=kind,
        width=width,
        height=height,
        bits_stored=bits,
        photometric="MONOCHROME2" if grey else "RGB",
    )


def _turn(picture: Image.Image, limits: Limits) -> Image.Transpose | None:
    raw = picture.info.get("exif")
    if not isinstance(raw, bytes):
        return None
    exif = Image.Exif()
    try:
        exif.load(raw)
        return TURNS.get(exif.get(ORIENTATION_TAG, 1))
    except limits.interrupts:
        raise
    # EXIF blocks are often broken in otherwise good pictures: then the picture is taken as it
    # stands
    except Exception:
        return None


def _grey(picture: Image.Image) -> tuple[FloatArray, float]:
    """Grey values in [0, 1] and the colourfulness; transparent parts are black."""
    mode = picture.mode
    if mode in ("I;16", "I;16B", "I;16L", "I"):
        deep = np.asarray(picture).astype(np.float32)
        return np.clip(deep / np.float32(65535.0), 0.0, 1.0), 0.0
    transparent = "transparency" in picture.info or mode in ("LA", "PA", "RGBA", "La", "RGBa")
    if mode in ("1", "L", "LA") and "transparency" not in picture.info:
        grey = np.asarray(picture.convert("LA" if transparent else "L"))
        if not transparent:
            return grey.astype(np.float32) / np.float32(255.0), 0.0
        values = grey.astype(np.float32) / np.float32(255.0)
        return np.ascontiguousarray(values[..., 0] * values[..., 1]), 0.0
    if transparent:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture.convert("RGBA"))
    colour = picture.convert("RGB")
    chroma = _colourfulness(colour)
    return np.asarray(colour.convert("L")).astype(np.float32) / np.float32(255.0), chroma


def _colourfulness(colour: Image.Image) -> float:
    """The mean span between the strongest and the weakest channel, in [0, 1]."""
    step = max(1, int((colour.width * colour.height / COLOUR_SAMPLES) ** 0.5))
    sample = np.asarray(colour)[::step, ::step].astype(np.int16)
    return float((sample.max(axis=2) - sample.min(axis=2)).mean() / 255.0)
