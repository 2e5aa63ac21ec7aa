"""What is fuzzed: everything that happens to a file before anybody trusts it.

It runs here as a decoder runs it, but without its walls: a wall that is hit would hide what hit it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, get_args

import numpy as np

from ml import imaging
from screening.studies.decoder import wire
from screening.studies.decoder.child import open_file

LIMITS: Final = imaging.Limits(min_side=4, max_pixels=250_000)
"""The rules of the gate with smaller numbers, so that a second tries more files."""


def gate(data: bytes) -> None:
    """Any file: what a decoder would say of it, and whether the portal would believe it."""
    try:
        header = imaging.read_header(data, LIMITS)
    except imaging.ImagingError:
        header = None
    for wish in get_args(wire.Wish):
        try:
            said, found = open_file(data, wish, LIMITS)
        except imaging.ImagingError:
            return
        said = json.loads(json.dumps(said))
        seen = wire.header_from(said["header"], LIMITS)
        assert seen == header
        assert found.shape == (seen.height, seen.width)
        assert wire.array_of(said | {"type": found.dtype.str}, wish, seen)
        if wish == "look":
            wire.stated_from(said["stated"])
        elif wish == "values":
            wire.grey_values_from(said["values"], seen, found)
        elif wish == "picture":
            wire.colourfulness_from(said["colourfulness"])
            assert np.isfinite(found).all()
            assert float(found.min()) >= 0.0
            assert float(found.max()) <= 1.0


def dicom(data: bytes) -> None:
    """A film, whatever its first bytes."""
    gate(data if imaging.dicom.looks_like_dicom(data) else bytes(128) + b"DICM" + data[132:])


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {"gate": gate, "dicom": dicom}
