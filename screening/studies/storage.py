"""Private files: written whole, named by us, and cleaned up after.

Everything goes through Django's storage API, so that another backend can take the place of the
file system. Bytes are written before the row that points at them; what a crash leaves behind
without a row is found by ``sweep_orphans``.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from uuid import UUID, uuid4

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import IntegrityError
from django.utils import timezone

logger = logging.getLogger(__name__)

IMAGES = "images"
HEATMAPS = "heatmaps"
UNFINISHED_RESTORE = ".restoring"
"""A hidden folder here says that a backup is being restored, or that this was cut off."""
ORPHAN_AGE = timedelta(days=1)
"""Far longer than any upload takes, so that a file whose row is about to come is never swept."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that a row points at, and its SHA-256 where the row says it."""

    name: str
    sha256: str = ""


NamesInUse = Callable[[Collection[UUID]], set[str]]
FilesOf = Callable[[str], Iterable[StoredFile]]
_folders: dict[str, NamesInUse] = {}
_files: dict[str, FilesOf] = {}


class DurableFileSystemStorage(FileSystemStorage):
    """Files that are complete and on the disk when ``save`` returns.

    Written under a draft's name in the same folder, flushed to the disk, then renamed, and the
    folder flushed too: after a power cut a name holds all of its bytes or does not exist.
    """

    flushes = True

    def _save(self, name: str, content: File[bytes]) -> str:
        target = Path(self.path(name))
        _make_folder(target.parent, Path(self.base_location))
        draft = target.with_name(f".{uuid4().hex}.part")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                for chunk in self.bytes_to_write(name, content):
                    handle.write(chunk)
                handle.flush()
                if self.flushes:
                    os.fsync(handle.fileno())
            if target.exists():
                raise FileExistsError(name)
            draft.rename(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        if self.flushes:
            _flush_folder(target.parent)
        return name

    def bytes_to_write(self, name: str, content: File[bytes]) -> Iterable[bytes]:
        """What goes to the disk for ``content``."""
        return content.chunks()


def new_name(folder: str, key: UUID, suffix: str) -> str:
    """A generated name such as ``images/3f/3f…e1.png``; ``key`` is its row's primary key."""
    return f"{folder}/{key.hex[:2]}/{key}{suffix}"


def put(name: str, data: bytes) -> str:
    """Store ``data`` and return the name it got. Raises ``OSError`` when that fails."""
    return default_storage.save(name, ContentFile(data))


def read(name: str) -> bytes:
    """The bytes of a stored file. Raises ``FileNotFoundError`` when it is gone."""
    with default_storage.open(name, "rb") as handle:
        data: bytes = handle.read()
    return data


def discard(*names: str) -> None:
    """Remove files whose row never came. What can't be removed now is left to the sweeper."""
    for name in names:
        try:
            default_storage.delete(name)
        except OSError as error:
            logger.warning("%s is left to the sweeper: %s", name, type(error).__name__)


class FilesOfRows:
    """Files that stay only if the rows that point at them do.

    ::

        with FilesOfRows() as files:
            name = files.put(name, data)
            with transaction.atomic(durable=True):
                ...  # make the rows
                files.keep()  # last: from here on the commit alone decides

    Without ``keep`` the files are removed at the end of the block. If the commit itself fails,
    for instance because the connection broke, nobody knows whether the rows are there: a file
    too many is swept later, a row without its file would be lost.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._kept = False

    def put(self, name: str, data: bytes) -> str:
        stored = put(name, data)
        self._names.append(stored)
        return stored

    def keep(self) -> None:
        self._kept = True

    def __enter__(self) -> FilesOfRows:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        refused_by_database = kind is not None and issubclass(kind, IntegrityError)
        if refused_by_database or not self._kept:
            discard(*self._names)


def register_folder(folder: str, names_in_use: NamesInUse, *, files: FilesOf | None = None) -> None:
    """Let the sweeper look after ``folder``, and backups take its files along.

    ``names_in_use`` gets the keys found in file names and returns the names that rows with
    those keys point at. ``files`` gets the alias of a database and yields every file that its
    rows point at; a folder without it holds nothing that must be kept. Floors above register
    theirs when their app is ready.
    """
    _folders[folder] = names_in_use
    if files is not None:
        _files[folder] = files


def kept_files(alias: str) -> Iterator[StoredFile]:
    """Every file that the rows of this database point at, in all folders."""
    for files in _files.values():
        yield from files(alias)


def is_in_use(name: str) -> bool:
    """Whether a row points at this file now."""
    folder, key = name.split("/", 1)[0], _key_of(name)
    return folder in _folders and key is not None and name in _folders[folder]([key])


@dataclass(frozen=True, slots=True)
class Sweep:
    """How many files were old enough to be judged, and how many of them had no row."""

    checked: int = 0
    removed: int = 0

    def __add__(self, other: Sweep) -> Sweep:
        return Sweep(self.checked + other.checked, self.removed + other.removed)


def remove_orphans() -> Sweep:
    """Remove files older than a day to which no row points, in every registered folder."""
    total = Sweep()
    for folder, names_in_use in _folders.items():
        with contextlib.suppress(FileNotFoundError):
            for shard in default_storage.listdir(folder)[0]:
                total += _sweep_shard(f"{folder}/{shard}", names_in_use)
    return total


def _sweep_shard(shard: str, names_in_use: NamesInUse) -> Sweep:
    newest = timezone.now() - ORPHAN_AGE
    old: dict[str, UUID | None] = {}
    for file_name in default_storage.listdir(shard)[1]:
        name = f"{shard}/{file_name}"
        with contextlib.suppress(FileNotFoundError):  # removed by somebody else meanwhile
            if default_storage.get_modified_time(name) < newest:
                old[name] = _key_of(file_name)
    if not old:
        return Sweep()
    used = names_in_use([key for key in old.values() if key is not None])
    orphans = [name for name in old if name not in used]
    discard(*orphans)
    return Sweep(checked=len(old), removed=len(orphans))


def _key_of(file_name: str) -> UUID | None:
    try:
        return UUID(PurePosixPath(file_name).name.split(".", 1)[0])
    except ValueError:
        return None  # A draft that a crash left behind, or nothing of ours.


def _make_folder(folder: Path, root: Path) -> None:
    """Make ``folder`` private, and its entry in each folder above it durable."""
    missing = []
    place = folder
    while not place.exists():
        missing.append(place)
        if place == root:
            break
        place = place.parent
    for step in reversed(missing):
        step.mkdir(mode=0o700, parents=True, exist_ok=True)
        _flush_folder(step.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
