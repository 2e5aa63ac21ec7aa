"""Whether a folder lies on an encrypted disk, as far as this machine can tell."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Final

DEVICES: Final = Path("/sys/dev/block")


class Disk(StrEnum):
    """``UNKNOWN`` covers network and layered file systems, and disks that encrypt by themselves or
    are encrypted by whoever rents them out: from inside they look like any other."""

    ENCRYPTED = "encrypted"
    UNKNOWN = "unknown"


def disk_under(folder: Path, *, devices: Path = DEVICES) -> Disk:
    """``ENCRYPTED`` where dm-crypt (LUKS) stands between ``folder`` and its disk."""
    try:
        number = os.stat(folder).st_dev
    except OSError:
        return Disk.UNKNOWN
    device = devices / f"{os.major(number)}:{os.minor(number)}"
    return Disk.ENCRYPTED if _is_crypt(device, set()) else Disk.UNKNOWN


def _is_crypt(device: Path, seen: set[str]) -> bool:
    """Whether the block device, or every device that it is made of, is dm-crypt's."""
    if device.resolve().name in seen:
        return False
    seen = {*seen, device.resolve().name}
    try:
        if (device / "dm" / "uuid").read_text(encoding="ascii").startswith("CRYPT-"):
            return True
    except (OSError, UnicodeDecodeError):
        pass  # Not a mapped device; a partition or an array may still lie on one.
    try:
        below = list((device / "slaves").iterdir())
    except OSError:
        return False
    return bool(below) and all(_is_crypt(one, seen) for one in below)
