"""Private files, encrypted at rest where the installation says so.

Readers notice nothing: plain and encrypted files lie side by side and are told apart by their
first bytes. ``FILE_ENCRYPTION`` decides about new files; ``required`` also refuses to read plain
ones, for when all have been encrypted.
"""

from __future__ import annotations

import fcntl
import io
import itertools
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final, cast
from uuid import uuid4

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.utils.translation import gettext as _

from screening.core import sealing
from screening.core.errors import InvalidInput
from screening.core.keyring import Key, KeyRing
from screening.studies.storage import DurableFileSystemStorage

logger = logging.getLogger(__name__)

CHECKS: Final = "keys"
"""Folder of one small encrypted file for each key in use: whether the right key is there can be
told from it at once, without looking through all files."""
CHECK_SUFFIX: Final = ".check"


@cache
def _ring(folder: str) -> KeyRing:
    return KeyRing(Path(folder))


def keyring() -> KeyRing:
    """The keys of this installation."""
    return _ring(str(settings.ENCRYPTION_KEYS_DIR))


def encrypts() -> bool:
    """Whether new files are encrypted."""
    return str(settings.FILE_ENCRYPTION) != "off"


class SealedFileSystemStorage(DurableFileSystemStorage):
    """Encrypts what it writes, if the installation wants that; reads both sorts."""

    def bytes_to_write(self, name: str, content: File[bytes]) -> Iterable[bytes]:
        if encrypts():
            key = keyring().newest()
            self._note_use(key)
            return sealing.seal(content.chunks(), key, name)
        return _plain(content.chunks())

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        handle, is_sealed = self._look(name)
        if not is_sealed:
            if str(settings.FILE_ENCRYPTION) == "required":
                handle.close()
                logger.error("%s is not encrypted, and FILE_ENCRYPTION=required", name)
                raise sealing.seal_broken()
            return File(handle, name)
        return File(cast("BinaryIO", self._unsealed(handle, name)), name)

    def _look(self, name: str) -> tuple[io.BufferedReader, bool]:
        """The file as it lies on the disk, and whether it is encrypted."""
        handle = Path(self.path(name)).open("rb")  # noqa: SIM115 (who asked closes it)
        start = handle.peek(len(sealing.MAGIC))[: len(sealing.MAGIC)]
        return handle, sealing.is_sealed(start)

    def _unsealed(self, handle: BinaryIO, name: str) -> io.BufferedReader:
        """The content, authenticated to its end before the first byte of it is handed out."""
        reader = None
        try:
            reader = sealing.SealedReader(handle, keyring(), name)
            reader.verify()
        except sealing.StoredFileError as error:
            if reader is not None:
                reader.close()
            logger.error("%s can't be opened: %s", name, error.code)
            raise
        return io.BufferedReader(reader, sealing.CHUNK)

    def size(self, name: str) -> int:
        """Of the content, in bytes, whatever it takes on the disk."""
        handle, is_sealed = self._look(name)
        if not is_sealed:
            handle.close()
            return super().size(name)
        with sealing.SealedReader(handle, keyring(), name) as reader:
            return reader.size

    def delete(self, name: str) -> None:
        with folder_to_itself(Path(self.path(name)).parent):
            super().delete(name)

    def _note_use(self, key: Key) -> None:
        """Leave a check file for a key before the first file that it locks."""
        name = f"{CHECKS}/{key.id}{CHECK_SUFFIX}"
        path = Path(self.path(name))
        if path.exists():
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{uuid4().hex}.part")
        try:
            write_durably(draft, sealing.seal([b""], key, name))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def sealed_storage() -> SealedFileSystemStorage:
    """The portal's own file store; every settings module that serves names this class."""
    return cast("SealedFileSystemStorage", default_storage)


def missing_keys(storage: SealedFileSystemStorage) -> list[str]:
    """Ids of keys that locked stored files and are not there, or are other ones by that name."""
    missing = []
    for id in keys_in_use(storage):
        try:
            storage.open(f"{CHECKS}/{id}{CHECK_SUFFIX}").close()
        except sealing.StoredFileError:
            missing.append(id)
    return missing


def keys_in_use(storage: SealedFileSystemStorage) -> list[str]:
    """Ids of the keys that stored files may need."""
    try:
        names = storage.listdir(CHECKS)[1]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name.removesuffix(CHECK_SUFFIX) for name in names if name.endswith(CHECK_SUFFIX))


def forget_key(storage: SealedFileSystemStorage, id: str) -> None:
    """Note that no file needs this key any more."""
    storage.delete(f"{CHECKS}/{id}{CHECK_SUFFIX}")


def write_durably(path: Path, blocks: Iterable[bytes]) -> None:
    """Write a new file that is on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        for block in blocks:
            handle.write(block)
        handle.flush()
        os.fsync(handle.fileno())


@contextmanager
def folder_to_itself(folder: Path) -> Iterator[None]:
    """Keep others from removing or exchanging a file of ``folder`` meanwhile.

    Without it a file that is being encrypted anew could come back after it was erased. A file
    system that knows no locks works without.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _plain(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks``, unless they would be taken for an encrypted file when they are read."""
    pieces = iter(chunks)
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= len(sealing.MAGIC):
            break
    if sealing.is_sealed(start):
        raise InvalidInput(
            _("This file begins like an encrypted one of the portal and can't be stored."),
            code="content_reserved",
        )
    return itertools.chain((start,), pieces)
