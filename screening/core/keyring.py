"""Key-encryption keys: one small file each, in a folder; the newest locks, all of them open.

A key's id says when it was made, so that ids sort by age. Keys wrap data keys with AES-256-GCM; a
wrapped data key carries its key's id and fingerprint, so that another key under the same name is
known for what it is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from screening.core.private_files import create_private_file
from screening.core.sealing import KEY_BYTES, key_missing, seal_broken

logger = logging.getLogger(__name__)

KIND: Final = 1
SUFFIX: Final = ".key"
ID: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
SHOWN_TO_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH | stat.S_IXOTH | stat.S_IWGRP
"""Bits that a key file must not have. A group may read it: secrets mounted into containers often
belong to a group and not to the process itself."""
_MOMENT = "%Y%m%dT%H%M%SZ"
_NONCE = 12
_MARK = 8


@dataclass(frozen=True, slots=True)
class Key:
    """One key. As a lock it wraps data keys; ``fingerprint`` may be shown, ``secret`` never."""

    id: str
    secret: bytes = field(repr=False)

    @property
    def kind(self) -> int:
        return KIND

    @property
    def mark(self) -> bytes:
        return hashlib.sha256(b"thorascreen file key\0" + self.secret).digest()[:_MARK]

    @property
    def fingerprint(self) -> str:
        return self.mark.hex()

    def wrap(self, data_key: bytes, bound_to: bytes) -> bytes:
        about = self.id.encode() + self.mark
        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(self.secret).encrypt(nonce, data_key, about + bound_to)
        return about + nonce + sealed

    def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        about, nonce, sealed = _parts(wrapped)
        try:
            return AESGCM(self.secret).decrypt(nonce, sealed, about + bound_to)
        except (InvalidTag, ValueError):
            raise seal_broken() from None


@dataclass(frozen=True)
class Named:
    """The key that a wrapped data key asks for."""

    id: str
    mark: bytes


ID_BYTES: Final = len("20261121T170000Z-0a1b2c")


def named_in(wrapped: bytes) -> Named:
    """Which key wrapped this."""
    about, _, _ = _parts(wrapped)
    return Named(about[:ID_BYTES].decode("ascii", errors="replace"), about[ID_BYTES:])


def _parts(wrapped: bytes) -> tuple[bytes, bytes, bytes]:
    start = ID_BYTES + _MARK
    return wrapped[:start], wrapped[start : start + _NONCE], wrapped[start + _NONCE :]


_Look = tuple[tuple[str, int, int, int], ...]


def _look_at(folder: Path) -> _Look:
    """Changes when any key file comes, goes or is altered. Some microseconds for a few files."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.stat()) for entry in entries]
    except OSError:
        return ()
    return tuple(sorted((name, s.st_mtime_ns, s.st_size, s.st_mode) for name, s in found))


class KeyRing:
    """The keys of a folder. Looks again when the folder has changed, so nothing is restarted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: _Look = ()
        self._keys: dict[str, Key] = {}

    @property
    def kind(self) -> int:
        return KIND

    def keys(self) -> dict[str, Key]:
        """All keys by id, oldest first; empty where there is no folder."""
        look = _look_at(self.folder)
        if look != self._seen:
            self._keys = {key.id: key for key in _read_keys(self.folder)}
            self._seen = look
        return self._keys

    def newest(self) -> Key:
        """The key that locks. Raises ``KeyMissing`` when there is none."""
        keys = self.keys()
        if not keys:
            raise key_missing()
        return keys[max(keys)]

    def asked_for(self, wrapped: bytes) -> Key:
        """The key that wrapped this. Raises ``KeyMissing``."""
        named = named_in(wrapped)
        key = self.keys().get(named.id)
        if key is None or key.mark != named.mark:
            raise key_missing()
        return key

    def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        return self.asked_for(wrapped).unwrap(wrapped, bound_to)


def make_key(folder: Path) -> Key:
    """A new random key, in a file that only its owner can read. It locks from now on."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    moment = datetime.now(UTC)
    newest = max((path.name for path in folder.glob(f"*{SUFFIX}")), default="")
    while f"{moment:{_MOMENT}}" <= newest[: len("20261121T170000Z")]:  # Ids sort by age.
        moment += timedelta(seconds=1)
    key = Key(f"{moment:{_MOMENT}}-{secrets.token_hex(3)}", secrets.token_bytes(KEY_BYTES))
    text = base64.urlsafe_b64encode(key.secret).decode() + "\n"
    create_private_file(folder / f"{key.id}{SUFFIX}", text)
    return key


def exposed(folder: Path) -> list[str]:
    """Names of key files that others may read or change; of the folder, where others write it."""
    found = []
    try:
        if folder.stat().st_mode & (stat.S_IWOTH | stat.S_IWGRP):
            found.append(folder.name)
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if path.stat().st_mode & SHOWN_TO_OTHERS:
                found.append(path.name)
    except OSError:
        return found
    return found


def _read_keys(folder: Path) -> list[Key]:
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if not ID.fullmatch(path.stem):
            logger.warning("%s is no key of ours: its name is not one", path.name)
            continue
        try:
            if os.stat(path).st_mode & SHOWN_TO_OTHERS:
                logger.error("%s is not used: other users can read it", path.name)
                continue
            secret = base64.urlsafe_b64decode(path.read_text(encoding="ascii").strip())
        except (OSError, UnicodeDecodeError, binascii.Error) as error:
            logger.error("%s can't be read: %s", path.name, type(error).__name__)
            continue
        if len(secret) != KEY_BYTES:
            logger.error("%s holds no key of %d bytes", path.name, KEY_BYTES)
            continue
        found.append(Key(path.stem, secret))
    return found
