"""What a decoder process runs: opens one file after another and says what it saw.

Started as a script of its own, so that nothing of the portal is ever loaded here:
``python -I child.py DESCRIPTOR PARENT MEMORY_BYTES``.
"""

from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[3]))

import numpy.typing as npt
import pydicom

from ml import imaging
from screening.studies.decoder import confinement, wire
from screening.studies.decoder.rehearsal import rehearse


def open_file(
    data: bytes, wish: str, limits: imaging.Limits
) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    """What is said of a file, and the array that goes with it.

    :raises ImagingError: the file is refused.
    :raises MemoryError: there is not enough for this one.
    """
    if wish == "values":
        values = imaging.decode_values(data, limits)
        told: dict[str, Any] = {
            "header": wire.as_message(values.header),
            "values": wire.grey_values_as_message(values),
        }
        return told, values.values
    if wish == "stored":
        stored = imaging.decode_stored(data, limits)
        return {"header": wire.as_message(stored.header)}, stored.values
    decoded = imaging.decode(data, limits)
    said: dict[str, Any] = {
        "header": wire.as_message(decoded.header),
        "colourfulness": decoded.colourfulness,
    }
    if wish == "picture":
        return said, decoded.pixels
    said["stated"] = stated_names(data) if decoded.header.format == "dicom" else nobody()
    return said, decoded.to_uint8()


def nobody() -> dict[str, str]:
    return dict.fromkeys(wire.STATED, "")


def stated_names(data: bytes) -> dict[str, str]:
    """Whom a film names, as the file has it; empty where it can't be read.

    ``data`` has been decoded before, which has bounded what the dataset unfolds to.
    """
    try:
        dataset = pydicom.dcmread(
            io.BytesIO(data), force=True, stop_before_pixels=True, specific_tags=list(wire.STATED)
        )
    except MemoryError:
        raise
    except Exception:  # The picture could be read, yet a parser may raise anything.
        return nobody()
    return {keyword: _text(dataset, keyword) for keyword in wire.STATED}


def _text(dataset: Any, keyword: str) -> str:
    try:
        value = dataset.get(keyword)
        return "" if value is None else str(value)[: wire.LONGEST_STATED]
    except MemoryError:
        raise
    except Exception:  # An undecodable value names nobody.
        return ""


def serve(link: socket.socket) -> None:
    """Answer one wish after another, until nobody is there to ask."""
    while True:
        wish, descriptors = wire.receive(link, 1)
        try:
            said, found = _answer(wish, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        said["cpu_s"] = sum(os.times()[:2])
        wire.send(link, said)
        if found is None:
            continue
        _, descriptors = wire.receive(link, 1)
        try:
            wire.write_memory(descriptors[0], found)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        del found
        wire.send(link, {"written": True})


def _answer(
    wish: dict[str, Any], descriptors: list[int]
) -> tuple[dict[str, Any], npt.NDArray[Any] | None]:
    try:
        limits = imaging.Limits(*wish["limits"])
        said, found = open_file(wire.read_memory(descriptors[0]), wish["wish"], limits)
        return {**said, "type": found.dtype.str}, found
    except imaging.ImagingError as refusal:
        return {"refused": refusal.code}, None
    except MemoryError:
        return {"trouble": "out_of_memory"}, None


def main(descriptor: int, parent: int, memory_bytes: int) -> None:
    confinement.follow_parent(parent)
    link = socket.socket(fileno=descriptor)
    rehearse()
    wire.send(link, {"filtered": confinement.confine(memory_bytes)})
    try:
        serve(link)
    except (EOFError, OSError):  # Nobody is there any more.
        return


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]))
