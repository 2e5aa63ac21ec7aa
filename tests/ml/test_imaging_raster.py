"""PNG and JPEG: greys, colours, depths and turns; and every refusal with its sentence."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ml.imaging import (
    DEFAULT_LIMITS,
    MESSAGES,
    Code,
    ImagingError,
    Limits,
    decode,
    read_header,
    sniff,
)
from ml.phantom import phantom_dicom, phantom_jpeg, phantom_png
from tests.ml.dicoms import TINY


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def grey_ramp() -> npt.NDArray[np.uint8]:
    return np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_eight_bits() -> None:
    decoded = decode(saved(Image.fromarray(grey_ramp())), TINY)
    assert np.array_equal(decoded.to_uint8(), grey_ramp())
    assert decoded.pixels.dtype == np.float32
    assert decoded.colourfulness == 0.0
    assert (decoded.header.format, decoded.header.bits_stored) == ("png", 8)


def test_sixteen_bits_keep_their_depth() -> None:
    deep = (np.arange(256, dtype=np.uint32) * 257).astype(np.uint16).reshape(16, 16)
    deep[0, 1] = 300
    decoded = decode(saved(Image.fromarray(deep)), TINY)
    assert np.allclose(decoded.pixels, deep / 65535.0, atol=1e-7)
    assert decoded.header.bits_stored == 16


def test_one_bit() -> None:
    picture = Image.fromarray((np.indices((16, 16)).sum(0) % 2 * 255).astype(np.uint8)).convert("1")
    assert set(np.unique(decode(saved(picture), TINY).pixels)) == {0.0, 1.0}


def test_grey_in_colour_clothes_is_grey() -> None:
    decoded = decode(saved(Image.fromarray(grey_ramp()).convert("RGB")), TINY)
    assert np.array_equal(decoded.to_uint8(), grey_ramp())
    assert decoded.colourfulness == 0.0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colour_is_seen(mode: str) -> None:
    green = Image.new("RGB", (16, 16), (0, 200, 0)).convert(mode)
    decoded = decode(saved(green), TINY)
    assert decoded.colourfulness == pytest.approx(200 / 255, abs=0.02)
    assert decoded.pixels.mean() == pytest.approx(0.587 * 200 / 255, abs=0.02)


def test_transparent_parts_are_black() -> None:
    picture = Image.new("RGBA", (16, 16), (255, 255, 255, 255))
    picture.paste((255, 255, 255, 0), (0, 0, 8, 16))
    pixels = decode(saved(picture), TINY).pixels
    assert np.all(pixels[:, :8] == 0.0)
    assert np.all(pixels[:, 8:] == 1.0)
    half = Image.new("LA", (16, 16), (255, 128))
    assert decode(saved(half), TINY).pixels.mean() == pytest.approx(128 / 255, abs=1e-3)


def test_a_transparent_palette_colour_is_black() -> None:
    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([0, 0, 0, 255, 255, 255])
    assert np.all(decode(saved(picture, transparency=1), TINY).pixels == 0.0)


def test_four_ink_jpegs() -> None:
    white = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    black = Image.new("CMYK", (16, 16), (0, 0, 0, 255))
    assert decode(saved(white, "JPEG"), TINY).pixels.mean() > 0.98
    assert decode(saved(black, "JPEG"), TINY).pixels.mean() < 0.02


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_are_undone(turn: int) -> None:
    upright = np.zeros((40, 64), dtype=np.uint8)
    upright[:8, :8] = 255
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(np.transpose(a), 2),
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(undo[turn](upright)))
    exif = Image.Exif()
    exif[0x0112] = turn
    data = saved(stored, "JPEG", exif=exif, quality=95)
    decoded = decode(data, TINY)
    assert decoded.pixels.shape == (40, 64)
    assert (decoded.header.width, decoded.header.height) == (64, 40)
    assert (read_header(data, TINY).width, read_header(data, TINY).height) == (64, 40)
    assert np.abs(decoded.pixels - upright / 255.0).max() < 0.1


def test_broken_exif_does_not_matter() -> None:
    data = saved(Image.fromarray(grey_ramp()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(data, TINY).pixels.shape == (16, 16)


def code_of(data: bytes, limits: Limits = DEFAULT_LIMITS) -> str:
    with pytest.raises(ImagingError) as caught:
        decode(data, limits)
    assert caught.value.message.endswith(".")
    assert "{" not in caught.value.message
    return caught.value.code


@pytest.mark.parametrize(
    "data",
    [b"hello", b"%PDF-1.7\n", b"GIF89a" + b"\0" * 50, b"BM" + b"\0" * 200, b"PK\x03\x04" * 50],
)
def test_other_files_are_unsupported(data: bytes) -> None:
    assert code_of(data) == "unsupported_type"


def test_empty() -> None:
    assert code_of(b"") == "empty_file"
    with pytest.raises(ImagingError):
        sniff(b"")


def test_names_do_not_matter_only_content_does() -> None:
    assert sniff(phantom_png(1, "normal", (64, 64))) == "png"
    assert sniff(phantom_jpeg(1, "normal", (64, 64))) == "jpeg"


def test_too_large_is_told_before_anything_is_read() -> None:
    assert code_of(b"x" * 101, Limits(max_bytes=100)) == "too_large"


def test_too_small() -> None:
    assert code_of(saved(Image.new("L", (199, 800)))) == "too_small"
    assert decode(saved(Image.new("L", (200, 800)))).pixels.shape == (800, 200)


def png_promising(width: int, height: int) -> bytes:
    """A PNG whose header promises a picture that its data do not hold."""
    fields = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", fields), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(kind + body))
        data += struct.pack(">I", len(body)) + kind + body + check
    return data


@pytest.mark.parametrize(
    ("width", "height"), [(8001, 8000), (10000, 9000), (20000, 20000), (2**31 - 1, 2**31 - 1)]
)
def test_a_bomb_is_told_by_its_header(width: int, height: int) -> None:
    data = png_promising(width, height)
    assert code_of(data) == "too_many_pixels"
    with pytest.raises(ImagingError, match="too_many_pixels"):
        read_header(data)


def test_promises_that_are_not_kept_are_corrupt() -> None:
    data = png_promising(400, 400)
    assert read_header(data).width == 400
    assert code_of(data) == "corrupt_image"


@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.95])
def test_truncated_files_are_corrupt(part: float) -> None:
    for data in (phantom_png(1, "normal", (300, 300)), phantom_jpeg(1, "normal", (300, 300))):
        assert code_of(data[: int(len(data) * part)]) == "corrupt_image"


def test_animations_are_unsupported() -> None:
    frames = [Image.new("L", (300, 300), level) for level in (0, 100, 200)]
    data = saved(frames[0], save_all=True, append_images=frames[1:])
    assert code_of(data) == "unsupported_type"


def test_every_code_has_a_sentence() -> None:
    assert set(MESSAGES) == set(get_args(Code))
    for code in MESSAGES:
        message = DEFAULT_LIMITS.refusal(code).message
        assert message[0].isupper()
        assert message.endswith(".")
        assert "{" not in message


def test_a_refusal_crosses_processes_whole() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(DEFAULT_LIMITS.refusal("too_small")))  # noqa: S301  # our own
    assert (error.code, error.message) == ("too_small", DEFAULT_LIMITS.refusal("too_small").message)


class TimeIsUp(Exception):
    """What a task runner raises in the middle of anything."""


@pytest.mark.parametrize("syntax", [None, "explicit", "rle"])
def test_interruptions_are_not_blamed_on_the_file(
    monkeypatch: pytest.MonkeyPatch, syntax: str | None
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise TimeIsUp

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", interrupted)
    monkeypatch.setattr("ml.imaging.dicom.display", interrupted)
    if syntax is None:
        data = phantom_png(1, "normal", (300, 300))
    else:
        data = phantom_dicom(1, "normal", (300, 300), syntax=syntax)  # type: ignore[arg-type]
    with pytest.raises(TimeIsUp):
        decode(data, Limits(interrupts=(MemoryError, TimeIsUp)))
    assert code_of(data) == "corrupt_image"
