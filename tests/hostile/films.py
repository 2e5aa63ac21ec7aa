"""Hostile DICOM files: programs in the preamble, sizes that lie, values that make no sense."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from typing import Any, cast

import numpy as np
import pydicom
from PIL import Image as Picture
from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from ml.phantom import encode_dicom
from tests.hostile.case import MARK, Case, Cases
from tests.ml.dicoms import nameless, ramp, with_codestream, with_tags, written
from tests.studies.test_gate import saved

SIDE = 256
SYNTAXES = ("implicit", "explicit", "big_endian", "deflated", "rle", "jpeg2000")


@cache
def film(syntax: str = "explicit") -> bytes:
    made = encode_dicom(ramp(12, SIDE), syntax=cast(Any, syntax), window=(2000, 3000))
    return made if syntax == "big_endian" else nameless(made)


def changed(**values: Any) -> bytes:
    """The film with elements set whatever their type says, or taken out (None)."""
    dataset = pydicom.dcmread(io.BytesIO(film()))
    for keyword, value in values.items():
        if value is None:
            del dataset[keyword]
        elif isinstance(value, bytes):
            tag = pydicom.tag.Tag(pydicom.datadict.tag_for_keyword(keyword))
            kind = pydicom.datadict.dictionary_VR(tag).split(" ")[0]
            dataset[tag] = RawDataElement(tag, kind, len(value), value, 0, False, True)
        else:
            setattr(dataset, keyword, value)
    return written(dataset)


def patched(data: bytes, tag: tuple[int, int], value: bytes) -> bytes:
    """The file with the first bytes of a short element overwritten where they stand."""
    place = data.index(struct.pack("<HH", *tag)) + 8
    return data[:place] + value + data[place + len(value) :]


def with_syntax(syntax: str, data: bytes | None = None) -> bytes:
    """The film that claims another transfer syntax than the one it is written in."""
    data = film() if data is None else data
    old = uid.ExplicitVRLittleEndian.encode() + b"\0"
    text = syntax.encode()[:60]
    new = text + b"\0" * (len(text) % 2)
    head = b"\x02\x00\x10\x00UI"
    place = data.index(head)
    return data[:place] + head + struct.pack("<H", len(new)) + new + data[place + 8 + len(old) :]


def preamble(start: bytes) -> bytes:
    return start.ljust(128, b"\0")[:128] + film()[128:]


def deflated(body: bytes) -> bytes:
    """A film that claims to be deflated, around any body."""
    whole = film("deflated")
    end = whole.index(uid.DeflatedExplicitVRLittleEndian.encode())
    meta_end = 132 + 12 + struct.unpack_from("<I", whole, 140)[0]
    assert end < meta_end
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return whole[:meta_end] + packer.compress(body) + packer.flush()


def deflate_bomb() -> bytes:
    plain = film()
    body = plain[132 + 12 + struct.unpack_from("<I", plain, 140)[0] :]
    place = body.index(b"\xe0\x7f\x10\x00")
    size = 150_000_000
    return deflated(
        body[:place] + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", size) + bytes(size)
    )


def deep_sequences(depth: int) -> bytes:
    """Items in items, without end marks, of undefined length."""
    item = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    place = film().index(b"\x10\x00\x40\x00")
    return film()[:place] + item * depth + film()[place:]


def private_tags(count: int, size: int) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(film()))
    block = dataset.private_block(0x0011, "HOSTILE", create=True)
    for number in range(count):
        block.add_new(number % 0xF0, "OB", bytes(size))
    return written(dataset)


def many_elements(count: int) -> bytes:
    elements = b"".join(
        struct.pack("<HH2sH", 0x0009, 0x1000 + number % 0xEFFF, b"LO", 0) for number in range(count)
    )
    place = film().index(b"\x10\x00\x40\x00")
    return film()[:place] + elements + film()[place:]


def encapsulated(codestream: bytes, syntax: uid.UID, *, bits: int = 8) -> bytes:
    return nameless(with_codestream(codestream, syntax, (SIDE, SIDE), bits))


def raw_encapsulated(body: bytes, syntax: uid.UID = uid.JPEGBaseline8Bit) -> bytes:
    """A compressed film whose fragments are written by hand."""
    sound = encapsulated(_jpeg(), syntax)
    head = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
    return sound[: sound.index(head)] + head + body


def item(body: bytes, length: int | None = None) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(body) if length is None else length) + body


END = b"\xfe\xff\xdd\xe0\0\0\0\0"


def _jpeg(side: int = SIDE) -> bytes:
    shades = np.arange(side * side, dtype=np.uint32).astype(np.uint8).reshape(side, side)
    made = saved(Picture.fromarray(shades), "JPEG")
    return made + b"\0" * (len(made) % 2)


def _jpeg2000(width: int = SIDE, height: int = SIDE) -> bytes:
    made = bytearray(saved(Picture.new("L", (SIDE, SIDE), 90), "JPEG2000", no_jp2=True))
    place = made.index(b"\xff\x51") + 6
    made[place : place + 8] = struct.pack(">II", width, height)
    return bytes(made)


def table(descriptor: list[int], entries: int) -> Sequence:
    one = Dataset()
    one.add_new("LUTDescriptor", "US", descriptor)
    one.add_new("LUTData", "OW", bytes(2 * entries))
    return Sequence([one])


def broken_off() -> Cases:
    cases: Cases = {}
    for syntax in SYNTAXES:
        for at in (140, 0.3, 0.95):
            cases[f"{syntax} film cut at {at}"] = Case(
                lambda syntax=syntax, at=at: film(syntax)[  # type: ignore[misc]
                    : int(len(film(syntax)) * at) if at < 1 else int(at)
                ],
                "not_a_radiograph_modality" if at == 140 else "corrupt_image",
            )
    cases["film that is a mark alone"] = Case(
        lambda: bytes(128) + b"DICM", "not_a_radiograph_modality"
    )
    cases["film cut in its preamble"] = Case(lambda: film()[:100], "unsupported_type")
    cases["film without pixels"] = Case(lambda: changed(PixelData=None), "corrupt_image")
    cases["film of noise"] = Case(
        lambda: bytes(128) + b"DICM" + np.random.default_rng(3).bytes(50_000),
        "not_a_radiograph_modality",
    )
    return cases


PREAMBLES = {
    "windows program": b"MZ" + bytes(58) + b"\x80\0\0\0" + MARK,
    "elf": b"\x7fELF\x02\x01\x01" + bytes(9) + MARK,
    "pdf": b"%PDF-1.7\n" + MARK,
    "html": b"<html>" + MARK,
    "shell script": b"#!/bin/sh\nexit\n" + MARK,
    "tiff": b"II*\0\x08\0\0\0" + MARK,
    "archive": b"PK\x03\x04" + MARK,
    "gif": b"GIF89a" + MARK,
}


def preambles() -> Cases:
    return {
        f"film with a preamble: {name}": Case(lambda start=start: preamble(start))  # type: ignore[misc]
        for name, start in PREAMBLES.items()
    }


def sizes() -> Cases:
    return {
        "film of 4 gigapixels": Case(lambda: changed(Rows=65535, Columns=65535), "too_many_pixels"),
        "film of twice its rows": Case(lambda: changed(Rows=2 * SIDE), "corrupt_image"),
        "film of half its rows, too small": Case(lambda: changed(Rows=SIDE // 2), "too_small"),
        "film with more pixels than it says": Case(lambda: changed(Rows=SIDE - 20)),
        "film without rows": Case(lambda: changed(Rows=0), "corrupt_image"),
        "film that names no rows": Case(lambda: changed(Rows=None), "corrupt_image"),
        "film with an empty number of rows": Case(lambda: changed(Rows=b""), "corrupt_image"),
        "film with rows of three bytes": Case(lambda: changed(Rows=b"\0\1\2\3"), "corrupt_image"),
        "film of two frames": Case(lambda: changed(NumberOfFrames=2), "unsupported_type"),
        "film of 10,000 frames": Case(lambda: changed(NumberOfFrames=10_000), "unsupported_type"),
        "film of minus one frames": Case(lambda: changed(NumberOfFrames=-1), "unsupported_type"),
        "film of no frames": Case(lambda: changed(NumberOfFrames=0)),
        "film of frames that are no number": Case(
            lambda: changed(NumberOfFrames=b"many"), "corrupt_image"
        ),
        "film of three samples": Case(lambda: changed(SamplesPerPixel=3), "unsupported_type"),
        "film of 32 bits": Case(lambda: changed(BitsAllocated=32), "unsupported_type"),
        "film of 1 bit": Case(lambda: changed(BitsAllocated=1), "unsupported_type"),
        "film of no stored bits": Case(lambda: changed(BitsStored=0), "corrupt_image"),
        "film of more stored bits than room": Case(lambda: changed(BitsStored=17), "corrupt_image"),
        "film with its high bit outside": Case(lambda: changed(HighBit=99), "corrupt_image"),
        "film with an unknown sign": Case(lambda: changed(PixelRepresentation=5), "corrupt_image"),
        "film in colours": Case(
            lambda: changed(PhotometricInterpretation="RGB"), "unsupported_type"
        ),
        "film in colours of its own": Case(
            lambda: changed(PhotometricInterpretation="PALETTE COLOR"), "unsupported_type"
        ),
        "film of a secret colour": Case(
            lambda: changed(PhotometricInterpretation=b"\xff\xfe\0\1"), "unsupported_type"
        ),
        "ct": Case(lambda: changed(Modality="CT"), "not_a_radiograph_modality"),
        "film of no class": Case(
            lambda: changed(SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1"),
            "not_a_radiograph_modality",
        ),
        "film that is a structured report": Case(
            lambda: changed(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR"),
            "not_a_radiograph_modality",
        ),
    }


def values() -> Cases:
    return {
        "window of no width": Case(lambda: changed(WindowWidth=0)),
        "window of negative width": Case(lambda: changed(WindowWidth=-5)),
        "window that is no number": Case(lambda: changed(WindowCenter=b"NaN "), "corrupt_image"),
        "window without end": Case(lambda: changed(WindowWidth=b"1e999 "), "corrupt_image"),
        "window of words": Case(lambda: changed(WindowCenter=b"middle"), "corrupt_image"),
        "a thousand windows": Case(
            lambda: changed(WindowCenter=[1] * 1000, WindowWidth=[2] * 1000)
        ),
        "slope that is no number": Case(
            lambda: changed(RescaleSlope=b"NaN ", RescaleIntercept=b"0 "), "corrupt_image"
        ),
        "slope beyond all numbers": Case(
            lambda: changed(RescaleSlope=b"1e300 ", RescaleIntercept=b"0 "), "corrupt_image"
        ),
        "slope of nothing": Case(lambda: changed(RescaleSlope=0, RescaleIntercept=0)),
        "lookup table shorter than it says": Case(
            lambda: changed(VOILUTSequence=table([4096, 0, 12], 10)), "corrupt_image"
        ),
        "lookup table of 99 bits": Case(lambda: changed(VOILUTSequence=table([256, 0, 99], 256))),
        "lookup table of two numbers": Case(
            lambda: changed(VOILUTSequence=table([256, 0], 256)), "corrupt_image"
        ),
        "lookup table without entries": Case(
            lambda: changed(ModalityLUTSequence=Sequence([Dataset()])), "corrupt_image"
        ),
        "lookup table of a megabyte and more": Case(
            lambda: changed(VOILUTSequence=table([0, 0, 16], 1_000_000)), "corrupt_image"
        ),
        "spacing that is no number": Case(lambda: changed(ImagerPixelSpacing=b"NaN\\NaN ")),
        "spacing of light years": Case(lambda: changed(ImagerPixelSpacing=b"1e30\\1e30 ")),
        "spacing of three numbers": Case(lambda: changed(ImagerPixelSpacing=b"1\\1\\1 ")),
        "day that does not exist": Case(lambda: changed(StudyDate=b"20231399")),
        "day before the calendar": Case(lambda: changed(StudyDate=b"00000000")),
        "identifier of letters": Case(lambda: changed(SOPInstanceUID=b"<script>1</script>")),
        "words of a body part": Case(lambda: changed(BodyPartExamined=MARK)),
        "an unknown character set": Case(lambda: changed(SpecificCharacterSet=b"ISO_IR 9999")),
        "characters that are none": Case(
            lambda: changed(SpecificCharacterSet=b"ISO_IR 192", StudyDescription=b"\xff\xfe\xc3")
        ),
        "a description with a script": Case(lambda: changed(StudyDescription=MARK)),
        "padding that is the whole picture": Case(
            lambda: with_tags(film(), PixelPaddingValue=0, PixelPaddingRangeLimit=65535)
        ),
    }


def metadata() -> Cases:
    return {
        "private tag of 5 MB": Case(lambda: private_tags(1, 5_000_000)),
        "private tags of 10 MB": Case(lambda: private_tags(20, 500_000)),
        "10,000 elements": Case(lambda: many_elements(10_000)),
        "250,000 elements": Case(lambda: many_elements(250_000), "corrupt_image"),
        "a description of 2 MB": Case(lambda: changed(StudyDescription=b"x" * 65_000)),
        "sequences 50 deep": Case(lambda: deep_sequences(50), "corrupt_image"),
        "sequences 5,000 deep": Case(lambda: deep_sequences(5_000), "corrupt_image"),
        "sequences 200,000 deep": Case(lambda: deep_sequences(200_000), "corrupt_image"),
        "a meta group that says it is 4 GB": Case(
            lambda: film()[:140] + b"\xff\xff\xff\xff" + film()[144:]
        ),
        "a meta group of nothing": Case(lambda: film()[:140] + bytes(4) + film()[144:]),
        "an element of 4 GB": Case(
            lambda: (
                film()[: film().index(b"\x10\x00\x40\x00")]
                + b"\x09\x00\x10\x00UT\0\0\xf0\xff\xff\xff"
                + film()[film().index(b"\x10\x00\x40\x00") :]
            ),
            "corrupt_image",
        ),
        "an element of an unknown kind": Case(
            lambda: (
                film()[: film().index(b"\x10\x00\x40\x00")]
                + b"\x09\x00\x10\x00??\x04\0abcd"
                + film()[film().index(b"\x10\x00\x40\x00") :]
            ),
            "corrupt_image",
        ),
        "a second picture behind the first": Case(
            lambda: film() + film()[film().index(b"\xe0\x7f\x10\x00") :]
        ),
        "an archive behind the picture": Case(lambda: film() + b"PK\x03\x04" + MARK),
    }


def compressed() -> Cases:
    baseline = uid.JPEGBaseline8Bit
    pieces = encapsulate([_jpeg()])
    return {
        "deflate bomb": Case(deflate_bomb, "too_many_pixels"),
        "deflate bomb of empty elements": Case(
            lambda: deflated(struct.pack("<HH2sH", 0x0009, 0x1001, b"LO", 0) * 2_000_000),
            "corrupt_image",
        ),
        "deflate of noise": Case(
            lambda: film("deflated")[:400] + np.random.default_rng(4).bytes(9000), "corrupt_image"
        ),
        "jpeg 2000 of 4 gigapixels": Case(
            lambda: encapsulated(_jpeg2000(65_535, 65_535), uid.JPEG2000Lossless), "corrupt_image"
        ),
        "jpeg 2000 of no size": Case(
            lambda: encapsulated(_jpeg2000(0, 0), uid.JPEG2000Lossless), "corrupt_image"
        ),
        "jpeg 2000 that breaks off": Case(
            lambda: encapsulated(_jpeg2000()[:80], uid.JPEG2000Lossless), "corrupt_image"
        ),
        "jpeg of another size than the film": Case(
            lambda: encapsulated(_jpeg(SIDE + 8), baseline), "corrupt_image"
        ),
        "jpeg in colours in a grey film": Case(
            lambda: encapsulated(
                saved(Picture.new("RGB", (SIDE, SIDE)), "JPEG").ljust(2000, b"\0"), baseline
            ),
            "corrupt_image",
        ),
        "jpeg that is none": Case(lambda: encapsulated(MARK.ljust(100), baseline), "corrupt_image"),
        "jpeg labelled as jpeg 2000": Case(
            lambda: encapsulated(_jpeg(), uid.JPEG2000Lossless), "corrupt_image"
        ),
        "jpeg labelled as jpeg-ls": Case(lambda: encapsulated(_jpeg(), uid.JPEGLSLossless)),
        "rle that unfolds beyond the film": Case(
            lambda: encapsulated(
                struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 100_000, uid.RLELossless
            ),
            "corrupt_image",
        ),
        "rle of 16 planes": Case(
            lambda: encapsulated(struct.pack("<16I", 15, *[64] * 15) + bytes(100), uid.RLELossless),
            "corrupt_image",
        ),
        "rle that points outside": Case(
            lambda: encapsulated(
                struct.pack("<16I", 1, 2**31, *[0] * 14) + bytes(100), uid.RLELossless
            ),
            "corrupt_image",
        ),
        "a table of offsets that lies": Case(
            lambda: raw_encapsulated(item(b"\xff\xff\xff\x7f") + item(_jpeg()) + END),
            "corrupt_image",
        ),
        "a fragment longer than the file": Case(
            lambda: raw_encapsulated(item(b"") + item(_jpeg(), 2**31) + END)
        ),
        "a fragment of odd length": Case(
            lambda: raw_encapsulated(item(b"") + item(_jpeg()[:1001]) + END), "corrupt_image"
        ),
        "no fragments": Case(lambda: raw_encapsulated(item(b"") + END), "corrupt_image"),
        "no end of fragments": Case(
            lambda: raw_encapsulated(item(b"") + item(_jpeg())), "corrupt_image"
        ),
        "fragments that are no items": Case(
            lambda: raw_encapsulated(MARK * 100 + END), "corrupt_image"
        ),
        "70,000 empty fragments": Case(
            lambda: raw_encapsulated(item(b"") * 70_000 + item(_jpeg()) + END), "corrupt_image"
        ),
        "a jpeg in a thousand fragments": Case(
            lambda: raw_encapsulated(
                item(b"")
                + b"".join(item(_jpeg()[at : at + 8]) for at in range(0, len(_jpeg()), 8))
                + END
            )
        ),
        "compressed pixels, labelled as plain": Case(
            lambda: changed(PixelData=pieces),
            "corrupt_image",
        ),
        **{
            f"plain pixels, labelled {name}": Case(
                lambda syntax=syntax: with_syntax(syntax),  # type: ignore[misc]
                code,
            )
            for name, syntax, code in (
                ("jpeg", str(uid.JPEGBaseline8Bit), "corrupt_image"),
                ("jpeg 2000", str(uid.JPEG2000), "corrupt_image"),
                ("htj2k", str(uid.HTJ2K), "corrupt_image"),
                ("rle", str(uid.RLELossless), "corrupt_image"),
                ("deflated", str(uid.DeflatedExplicitVRLittleEndian), "corrupt_image"),
                ("big endian", str(uid.ExplicitVRBigEndian), "corrupt_image"),
                ("implicit", str(uid.ImplicitVRLittleEndian), ""),
                ("mpeg 2", "1.2.840.10008.1.2.4.100", "unsupported_type"),
                ("hevc", "1.2.840.10008.1.2.4.107", "unsupported_type"),
                ("jpip (pixels elsewhere)", "1.2.840.10008.1.2.4.94", "unsupported_type"),
                ("smpte (pixels on the network)", "1.2.840.10008.1.2.7.1", "unsupported_type"),
                ("jpeg xl", "1.2.840.10008.1.2.4.110", "unsupported_type"),
                ("a syntax of its own", "1.2.3.4.5.6", "unsupported_type"),
                ("words", "../../etc/passwd", "unsupported_type"),
                ("nothing", "", ""),
            )
        },
    }


def cases() -> Cases:
    return broken_off() | preambles() | sizes() | values() | metadata() | compressed()
