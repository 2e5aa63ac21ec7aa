"""Encrypted files: one data key a file, chunks that can't be cut off, moved or swapped.

The frame, version 1. All numbers are big-endian::

    8 bytes  THORSEAL      1 byte  version      1 byte  kind of lock
    2 bytes  length of what the lock wrote      …  what the lock wrote: the data key, wrapped
    then chunks: 65,536 bytes of content (the last one may be shorter) and a tag of 16 bytes each

A chunk is AES-256-GCM (NIST SP 800-38D) under the file's own random data key. Its nonce is its
index, which no key sees twice because a data key encrypts one file once. Index, last-flag and the
file's name are authenticated with it: a file that was cut off, lengthened, put in another order or
under another name does not open. This is the STREAM construction of Hoang, Reyhanitabar, Rogaway
and Vizár (2015). Wrapping a data key anew leaves the chunks as they are.
"""

from __future__ import annotations

import io
import secrets
import struct
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.utils.translation import gettext as _

from screening.core.errors import PortalError

MAGIC: Final = b"THORSEAL"
VERSION: Final = 1
CHUNK: Final = 64 * 1024
TAG: Final = 16
KEY_BYTES: Final = 32
_FRONT = struct.Struct(">8sBBH")


class StoredFileError(PortalError, OSError):
    """A stored file that is there and can't be read. Also an ``OSError``, as for a broken disk."""

    http_status = 503


class KeyMissing(StoredFileError):
    """The key that opens a file, or the one that new files need, is not there or another one."""

    code = "storage_key_missing"


class SealBroken(StoredFileError):
    """The file is not what was written: damaged, cut off, or another file's."""

    code = "stored_file_damaged"
    http_status = 409


def key_missing() -> KeyMissing:
    return KeyMissing(
        _("A key of the stored files is missing. Ask whoever operates the portal to put it back.")
    )


def seal_broken() -> SealBroken:
    return SealBroken(
        _("A stored file is damaged and is not shown. Ask whoever operates the portal.")
    )


class Lock(Protocol):
    """Wraps data keys. ``kind`` says in the file which sort of lock it was."""

    @property
    def kind(self) -> int: ...

    def wrap(self, data_key: bytes, bound_to: bytes) -> bytes: ...


class Opener(Protocol):
    """Unwraps what locks of its ``kind`` have wrapped.

    ``unwrap`` raises ``KeyMissing`` without the right key, ``SealBroken`` where the key is there
    and the wrapped data key is not the one that was written.
    """

    @property
    def kind(self) -> int: ...

    def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes: ...


def is_sealed(start: bytes) -> bool:
    """Whether a file that begins with ``start`` (eight bytes or more) is one of these."""
    return start.startswith(MAGIC)


def seal(blocks: Iterable[bytes], lock: Lock, name: str) -> Iterator[bytes]:
    """The encrypted file of ``blocks``, piece by piece, bound to ``name``."""
    data_key = secrets.token_bytes(KEY_BYTES)
    cipher = AESGCM(data_key)
    yield header(lock, data_key, name)
    waiting = bytearray()
    index = 0
    for block in blocks:
        waiting += block
        # One byte more than a chunk has to be there before it is known not to be the last.
        while len(waiting) > CHUNK:
            yield cipher.encrypt(_nonce(index), bytes(waiting[:CHUNK]), _about(name, index, False))
            del waiting[:CHUNK]
            index += 1
    yield cipher.encrypt(_nonce(index), bytes(waiting), _about(name, index, True))


def header(lock: Lock, data_key: bytes, name: str) -> bytes:
    """What stands before the chunks of a file whose data key is ``data_key``."""
    wrapped = lock.wrap(data_key, _bound_to(lock.kind, name))
    return _FRONT.pack(MAGIC, VERSION, lock.kind, len(wrapped)) + wrapped


def read_header(handle: BinaryIO) -> tuple[int, bytes]:
    """The kind of lock and what it wrote; leaves ``handle`` where the chunks begin."""
    front = handle.read(_FRONT.size)
    if len(front) != _FRONT.size:
        raise seal_broken()
    magic, version, kind, length = _FRONT.unpack(front)
    wrapped = handle.read(length)
    if magic != MAGIC or version != VERSION or len(wrapped) != length:
        raise seal_broken()
    return kind, wrapped


def open_header(handle: BinaryIO, opener: Opener, name: str) -> bytes:
    """The data key of the file; leaves ``handle`` where the chunks begin."""
    kind, wrapped = read_header(handle)
    if kind != opener.kind:
        raise key_missing()
    return opener.unwrap(wrapped, _bound_to(kind, name))


class SealedReader(io.RawIOBase):
    """Reads an encrypted file as if it were the plain one; seeks to any place of it.

    Every byte it hands out has been authenticated. It has no ``fileno``, so that no server sends
    the encrypted bytes past it. Wrap it in ``io.BufferedReader`` for small reads.
    """

    def __init__(self, handle: BinaryIO, opener: Opener, name: str) -> None:
        super().__init__()
        self._handle = handle
        self._file_name = name
        try:
            self._cipher = AESGCM(open_header(handle, opener, name))
            self._start = handle.tell()
            body = handle.seek(0, io.SEEK_END) - self._start
        except BaseException:
            handle.close()
            raise
        self._chunks = max(1, -(-body // (CHUNK + TAG)))
        last = body - (self._chunks - 1) * (CHUNK + TAG)
        if last < TAG or (last == TAG and self._chunks > 1):
            handle.close()
            raise seal_broken()
        self.size = body - self._chunks * TAG
        self._place = 0
        self._held = -1
        self._held_bytes = b""
        if self.size == 0:
            # Nothing would ever be asked of it, and so nothing authenticated: a file that was cut
            # off after the tag of an empty chunk would pass for an empty one.
            self.verify()

    @property
    def name(self) -> str:
        return self._file_name

    def verify(self) -> None:
        """Authenticate the whole file. Raises ``SealBroken``; the place is kept."""
        for index in range(self._chunks):
            self._chunk(index)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._place = base + offset
        return self._place

    def readinto(self, target: Any) -> int:
        view = memoryview(target).cast("B")
        if self._place >= self.size:
            return 0
        index, offset = divmod(self._place, CHUNK)
        part = self._chunk(index)[offset : offset + len(view)]
        view[: len(part)] = part
        self._place += len(part)
        return len(part)

    def readall(self) -> bytes:
        parts = []
        while self._place < self.size:
            index, offset = divmod(self._place, CHUNK)
            parts.append(self._chunk(index)[offset:])
            self._place += len(parts[-1])
        return b"".join(parts)

    def close(self) -> None:
        if not self.closed:
            self._handle.close()
        super().close()

    def _chunk(self, index: int) -> bytes:
        if index == self._held:
            return self._held_bytes
        self._handle.seek(self._start + index * (CHUNK + TAG))
        data = self._handle.read(CHUNK + TAG)
        about = _about(self._file_name, index, index == self._chunks - 1)
        try:
            found = self._cipher.decrypt(_nonce(index), data, about)
        except (InvalidTag, ValueError):
            raise seal_broken() from None
        self._held, self._held_bytes = index, found
        return found


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")


def _about(name: str, index: int, last: bool) -> bytes:
    return MAGIC + struct.pack(">BQ?", VERSION, index, last) + name.encode()


def _bound_to(kind: int, name: str) -> bytes:
    return MAGIC + bytes((VERSION, kind)) + name.encode()
