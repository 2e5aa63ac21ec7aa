"""The words that the imaging modules share: the refusal, the limits, and what a header and a
picture are."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date
from typing import Literal, NoReturn

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Format = Literal["png", "jpeg", "dicom"]
SpacingKind = Literal["", "calibrated", "detector", "unstated"]
Code = Literal[
    "empty_file",
    "too_large",
    "unsupported_type",
    "corrupt_image",
    "too_many_pixels",
    "too_small",
    "not_a_radiograph_modality",
]

MESSAGES: dict[Code, str] = {
    "empty_file": "The file is empty: export it again from where it came.",
    "too_large": (
        "The file is larger than {megabytes:g} MB: export it as JPEG or as compressed DICOM."
    ),
    "unsupported_type": (
        "This kind of file cannot be read: send a single PNG, JPEG or DICOM (CR or DX) picture."
    ),
    "corrupt_image": ("The picture is damaged or incomplete: export it again from where it came."),
    "too_many_pixels": (
        "The picture has more than {megapixels:g} megapixels: export it at a lower resolution."
    ),
    "too_small": (
        "The picture's short side has fewer than {min_side} pixels: send the original, "
        "not a thumbnail."
    ),
    "not_a_radiograph_modality": (
        "This is not a plain radiograph: send a chest X-ray of modality CR or DX."
    ),
}


class ImagingError(Exception):
    """A file that is refused.

    ``code`` is stable and for programs; ``message`` is one plain sentence for people, which says
    what is wrong and what to do. Neither ever holds anything from inside the file, so both may be
    logged and shown.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code: Code = code
        self.message = message

    def __reduce__(self) -> tuple[type[ImagingError], tuple[Code, str]]:
        """Let the error cross from one process to another whole."""
        return type(self), (self.code, self.message)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may ask of the machine that opens it."""

    max_bytes: int = 25 * 1024 * 1024
    max_pixels: int = 64_000_000
    """Rows x columns x frames."""
    min_side: int = 200
    interrupts: tuple[type[Exception], ...] = (MemoryError,)
    """Exceptions that say nothing of the file and pass through: a machine short of memory, and
    whatever a caller's time limit raises in the middle of a decode."""

    @property
    def max_dataset_bytes(self) -> int:
        """How far a deflated DICOM may unfold: two bytes a pixel, and room for the rest."""
        return 2 * self.max_pixels + 8 * 1024 * 1024

    def refusal(self, code: Code) -> ImagingError:
        """The refusal with this code, its message filled with these limits."""
        text = MESSAGES[code].format(
            megabytes=round(self.max_bytes / 1024 / 1024, 1),
            megapixels=round(self.max_pixels / 1e6, 1),
            min_side=self.min_side,
        )
        return ImagingError(code, text)

    def refuse(self, code: Code) -> NoReturn:
        # "from None": what a parser said may quote the file, and so a patient
        raise self.refusal(code) from None

    def check_extent(self, width: int, height: int, frames: int = 1) -> None:
        """:raises ImagingError: ``corrupt_image``, ``too_many_pixels`` or ``too_small``."""
        if width < 1 or height < 1 or frames < 1:
            self.refuse("corrupt_image")
        if width * height * frames > self.max_pixels:
            self.refuse("too_many_pixels")
        if min(width, height) < self.min_side:
            self.refuse("too_small")


DEFAULT_LIMITS = Limits()

MOST_READS = 200_000
"""Real pictures come to some thousands, a PNG in chunks of half a kilobyte to this many."""


class BoundedReader(io.BytesIO):
    """A file in memory that can be read from only so many times.

    Parsers read a few times for each element, chunk or marker, and keep an object for most of
    them. A file that holds nothing but empty ones would keep them busy for minutes and fill the
    memory, however few pixels it promises; a deflated one does so with some kilobytes.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads_left = MOST_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads_left -= 1
        if self._reads_left < 0:
            raise ValueError("the file is in too many parts")
        return super().read(size)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a file says of its picture before any pixel is decoded. Holds nothing about the patient.

    Text fields are empty and ``pixel_spacing`` is None where the file says nothing. Width and
    height are as displayed, after an EXIF rotation.
    """

    format: Format
    width: int
    height: int
    frames: int = 1
    bits_stored: int = 8
    photometric: str = ""
    modality: str = ""
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    view_position: str = ""
    laterality: str = ""
    body_part: str = ""
    study_uid: str = ""
    series_uid: str = ""
    sop_uid: str = ""
    taken_on: date | None = None
    """Day of the acquisition, or of the study where the file only has that."""
    pixel_spacing: tuple[float, float] | None = None
    """Row and column spacing in mm; at the detector where the file only has that."""
    spacing_kind: SpacingKind = ""
    """Where ``pixel_spacing`` holds: ``calibrated`` in the patient, ``detector`` at the detector
    (so that lengths in the patient come out too long), ``unstated`` where the file does not tell;
    empty without a spacing."""


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A picture ready to look at.

    ``pixels`` is (h, w) float32 in [0, 1], white is dense, as a viewer shows it. ``colourfulness``
    is 0 for grey and grows towards 1 with the mean chroma of a colour picture.
    """

    pixels: FloatArray
    header: ImageHeader
    colourfulness: float = 0.0

    def to_uint8(self) -> npt.NDArray[np.uint8]:
        """The picture in 256 greys, (h, w) uint8."""
        greys: npt.NDArray[np.uint8] = np.rint(self.pixels * np.float32(255.0)).astype(np.uint8)
        return greys
