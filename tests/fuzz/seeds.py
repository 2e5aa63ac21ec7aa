"""What the fuzzer starts from: small files of every kind, made here, and every finding so far."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image as Picture
from PIL import PngImagePlugin
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ml.phantom import encode_dicom, phantom_jpeg, phantom_png
from tests.ml.dicoms import lossless_jpeg, ramp, with_codestream, with_tags

SIDE: Final = 32
FINDINGS: Final[dict[str, bytes]] = {}
"""Files that once got through as something other than a picture or a refusal, by what they did."""


def rasters() -> dict[str, bytes]:
    small = (64, 72)
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a note", zip=True)
    info.add_itxt("Title", "ein Bild", zip=True)
    exif = Picture.Exif()
    exif[0x0112] = 6
    found = {
        "png 8": phantom_png(1, "normal", small),
        "png 16": phantom_png(1, "normal", small, bits=16),
        "jpeg": phantom_jpeg(1, "normal", small),
        "png with notes": _saved(Picture.new("L", (SIDE, SIDE), 90), "PNG", pnginfo=info),
        "png with rotation": _saved(Picture.new("L", (SIDE, 20), 90), "PNG", exif=exif),
        "jpeg with rotation": _saved(Picture.new("RGB", (SIDE, 20), 90), "JPEG", exif=exif),
        "progressive jpeg": _saved(Picture.new("L", (SIDE, SIDE), 90), "JPEG", progressive=True),
        "cmyk jpeg": _saved(Picture.new("CMYK", (SIDE, SIDE), 90), "JPEG"),
    }
    for mode in ("1", "LA", "P", "RGB", "RGBA"):
        found[f"png {mode}"] = _saved(Picture.new(mode, (SIDE, SIDE)), "PNG")
    return found


def films() -> dict[str, bytes]:
    found = {
        syntax: encode_dicom(ramp(12, SIDE), syntax=syntax, window=(2000, 3000), rescale=(1, -5))
        for syntax in ("implicit", "explicit", "big_endian", "deflated", "rle", "jpeg2000")
    }
    plain = encode_dicom(ramp(12, SIDE), modality="CR")
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 12]
    table.add_new("LUTData", "US", list(range(4096)))
    found |= {
        "lossless jpeg": with_codestream(
            lossless_jpeg(ramp(12, SIDE), 12), uid.JPEGLosslessSV1, (SIDE, SIDE), 12
        ),
        "baseline jpeg": with_codestream(
            _saved(Picture.new("L", (SIDE, SIDE), 90), "JPEG"),
            uid.JPEGBaseline8Bit,
            (SIDE, SIDE),
            8,
        ),
        "padding": with_tags(plain, PixelPaddingValue=0, PixelPaddingRangeLimit=10),
        "sigmoid": with_tags(
            plain, VOILUTFunction="SIGMOID", WindowCenter=[5, 6], WindowWidth=[1, 9]
        ),
        "lookup table": with_tags(plain, VOILUTSequence=Sequence([table])),
        "inverted": encode_dicom(ramp(8, SIDE), bits=8, photometric="MONOCHROME1"),
        "signed": encode_dicom(ramp(12, SIDE, signed=True), signed=True),
        "spacing": with_tags(plain, PixelSpacing=[0.2, 0.2], ImagerPixelSpacing=[0.21, 0.21]),
        "characters": with_tags(
            plain, SpecificCharacterSet="ISO_IR 192", PatientName="Nordlund^Nína", PatientID="N-1"
        ),
        "without preamble": plain[132:],
    }
    return found


def of(target: str) -> dict[str, bytes]:
    """The seeds of a target, by name."""
    return (rasters() if target == "gate" else {}) | films() | FINDINGS


def _saved(picture: Picture.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()
