"""Opening the original of an image once more, for those who make another file of it.

Whoever asks has made sure that the image may be seen. What comes out of a DICOM file names its
patient: it is never logged, and leaves the house only through ``screening.sharing``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from ml import imaging
from screening.core.errors import PortalError
from screening.studies import decoding, gate, storage
from screening.studies.models import Image


class OriginalLost(PortalError):
    """The stored file is gone or can't be read any more."""

    code = "original_lost"
    http_status = 409


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """``values`` is (h, w) of whole numbers: stored values of DICOM, greys of PNG and JPEG.

    ``dataset`` is there for DICOM only.
    """

    values: npt.NDArray[Any]
    dataset: Dataset | None = None


def open_original(image: Image) -> Original:
    """The pixels of ``image`` as they came, decoded under the intake's bounds.

    :raises OriginalLost: missing in storage, or not to be decoded any more.
    """
    try:
        data = storage.read(image.original)
        if image.format == "dicom":
            values = decoding.decode_stored(data, gate.LIMITS).values
            return Original(values, imaging.read_dataset(data, gate.LIMITS))
        values = decoding.decode_values(data, gate.LIMITS).values
        if values.dtype.kind != "u":
            values = decoding.decode(data, gate.LIMITS).to_uint8()
        return Original(np.ascontiguousarray(values))
    except (FileNotFoundError, imaging.ImagingError, decoding.Trouble):
        raise OriginalLost("The stored file of an image cannot be read.") from None
