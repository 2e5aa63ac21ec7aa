"""Encrypting what lies plain, and wrapping data keys with the newest key, while the portal runs.

Each file is judged by what it is, so a run that was cut off is simply started again. A file is
exchanged for its new copy as a whole; who reads the old one meanwhile reads it to its end.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

from screening.audit.services import record
from screening.core import sealing
from screening.core.errors import Conflict
from screening.core.keyring import Key, named_in
from screening.studies.sealed_storage import (
    CHECKS,
    SealedFileSystemStorage,
    encrypts,
    folder_to_itself,
    forget_key,
    keyring,
    keys_in_use,
    write_durably,
)

logger = logging.getLogger(__name__)

MOST_PASSES: Final = 5
"""Files that were being written with the old key when the new one came are found by a further
pass. There is one of them, seldom two."""
BLOCK: Final = 1024 * 1024


class Turn(StrEnum):
    """What became of one file."""

    KEPT = "kept"
    ENCRYPTED = "encrypted"
    REWRAPPED = "rewrapped"
    GONE = "gone"
    FAILED = "failed"


@dataclass
class Rotation:
    """What a run did, in numbers of files; ``free`` are keys that no file needs any more."""

    newest: str
    done: Counter[Turn] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    free: list[str] = field(default_factory=list)

    @property
    def changed(self) -> int:
        return self.done[Turn.ENCRYPTED] + self.done[Turn.REWRAPPED]


def rotate(
    storage: SealedFileSystemStorage, *, tell: Callable[[Rotation], None] = lambda _: None
) -> Rotation:
    """Bring every stored file under the newest key. ``tell`` is called after each file.

    :raises Conflict: files are not to be encrypted here (``encryption_off``).
    :raises KeyMissing: there is no key at all.
    """
    if not encrypts():
        raise Conflict(
            "FILE_ENCRYPTION is off; set it to on, restart the portal, and run this again.",
            code="encryption_off",
        )
    newest = keyring().newest()
    total = Rotation(newest.id)
    for _ in range(MOST_PASSES):
        found = _pass(storage, newest, total, tell)
        if not found:
            break
    else:
        total.failed.append("")
    if not total.failed:
        total.free = [id for id in keys_in_use(storage) if id != newest.id]
        for id in total.free:
            forget_key(storage, id)
    record(
        "storage.rotate_keys",
        detail={
            "key": newest.id,
            "encrypted": total.done[Turn.ENCRYPTED],
            "rewrapped": total.done[Turn.REWRAPPED],
            "failed": len(total.failed),
            "free": total.free,
        },
    )
    return total


def _pass(
    storage: SealedFileSystemStorage,
    newest: Key,
    total: Rotation,
    tell: Callable[[Rotation], None],
) -> int:
    """Go through all files once; return how many had to be changed."""
    changed = 0
    total.failed.clear()
    total.done[Turn.KEPT] = total.done[Turn.FAILED] = 0
    for name in stored_names(storage):
        turn = bring_under(storage, name, newest)
        total.done[turn] += 1
        changed += turn in (Turn.ENCRYPTED, Turn.REWRAPPED)
        if turn is Turn.FAILED:
            total.failed.append(name)
        tell(total)
    return changed


def stored_names(storage: SealedFileSystemStorage) -> Iterator[str]:
    """The names of all files, but for drafts and the checks of keys."""
    root = Path(storage.location)
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        place = Path(folder).relative_to(root)
        if place == Path(CHECKS):
            continue
        yield from (str(place / name) for name in sorted(files) if not name.startswith("."))


def bring_under(storage: SealedFileSystemStorage, name: str, newest: Key) -> Turn:
    """Encrypt the file, or wrap its data key anew, unless ``newest`` locks it already."""
    path = Path(storage.path(name))
    try:
        with open(path, "rb") as handle:
            if not sealing.is_sealed(handle.read(len(sealing.MAGIC))):
                handle.seek(0)
                turn, blocks = Turn.ENCRYPTED, sealing.seal(_blocks(handle), newest, name)
            else:
                handle.seek(0)
                named = named_in(sealing.read_header(handle)[1])
                if (named.id, named.mark) == (newest.id, newest.mark):
                    return Turn.KEPT
                handle.seek(0)
                turn, blocks = Turn.REWRAPPED, _rewrapped(handle, newest, name)
            return turn if _exchange(path, handle, blocks) else Turn.GONE
    except FileNotFoundError:
        return Turn.GONE
    except OSError as error:
        logger.error("%s stays as it is: %s", name, getattr(error, "code", type(error).__name__))
        return Turn.FAILED


def _rewrapped(handle: BinaryIO, newest: Key, name: str) -> Iterator[bytes]:
    data_key = sealing.open_header(handle, keyring(), name)
    yield sealing.header(newest, data_key, name)
    yield from _blocks(handle)


def _blocks(handle: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: handle.read(BLOCK), b"")


def _exchange(path: Path, old: BinaryIO, blocks: Iterator[bytes]) -> bool:
    """Put a new copy in the place of ``old``, unless that was removed meanwhile.

    The copy keeps the time of the old file: the sweeper goes by it.
    """
    draft = path.with_name(f".{uuid4().hex}.part")
    before = os.fstat(old.fileno())
    try:
        write_durably(draft, blocks)
        os.utime(draft, ns=(before.st_atime_ns, before.st_mtime_ns))
        with folder_to_itself(path.parent):
            if not os.path.samestat(before, path.stat()):
                return False
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return True
