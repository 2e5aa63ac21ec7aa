"""Whether a folder lies on an encrypted disk is said only where it can be told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from screening.core.disks import Disk, disk_under

pytestmark = pytest.mark.once


def device(folder: Path, name: str, uuid: str = "", below: tuple[Path, ...] = ()) -> Path:
    """A block device as the kernel shows it."""
    place = folder / name
    (place / "slaves").mkdir(parents=True)
    if uuid:
        (place / "dm").mkdir()
        (place / "dm" / "uuid").write_text(uuid + "\n")
    for one in below:
        (place / "slaves" / one.name).symlink_to(one)
    return place


def under(tmp_path: Path, top: Path) -> Disk:
    number = os.stat(tmp_path).st_dev
    devices = tmp_path / "dev"
    devices.mkdir()
    (devices / f"{os.major(number)}:{os.minor(number)}").symlink_to(top)
    return disk_under(tmp_path, devices=devices)


def test_luks_is_seen(tmp_path: Path) -> None:
    assert under(tmp_path, device(tmp_path, "dm-0", "CRYPT-LUKS2-abc-data")) is Disk.ENCRYPTED


def test_a_volume_on_luks_is_seen(tmp_path: Path) -> None:
    crypt = device(tmp_path, "dm-0", "CRYPT-LUKS2-abc-data")
    assert under(tmp_path, device(tmp_path, "dm-1", "LVM-xyz", (crypt,))) is Disk.ENCRYPTED


def test_an_array_of_which_one_half_is_plain_is_not(tmp_path: Path) -> None:
    halves = (device(tmp_path, "dm-0", "CRYPT-LUKS2-abc-data"), device(tmp_path, "sdb1"))
    assert under(tmp_path, device(tmp_path, "md0", "", halves)) is Disk.UNKNOWN


def test_what_can_not_be_told_is_not_said(tmp_path: Path) -> None:
    assert disk_under(tmp_path / "nowhere") is Disk.UNKNOWN
    assert disk_under(tmp_path, devices=tmp_path / "none") is Disk.UNKNOWN
    assert under(tmp_path, device(tmp_path, "sda1")) is Disk.UNKNOWN
