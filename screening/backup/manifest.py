"""The list of a backup's parts: what is in it, and that nothing else may be in its place.

A backup is a folder: ``manifest.json`` with ``manifest.mac``, ``database`` and ``files/…``. Parts
are encrypted for the opening key; the list is not, and holds no patient data: names of files are
random. Its authentication code covers the SHA-256 of every part, so that a part can't be altered,
left out or taken from another backup.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from django.utils.translation import gettext as _

from screening.core.errors import PortalError

FORMAT: Final = 1
LIST: Final = "manifest.json"
PROOF: Final = "manifest.mac"
DATABASE: Final = "database"
FILES: Final = "files"
BLOCK: Final = 1024 * 1024


class BackupDamaged(PortalError):
    """The backup is not what was made, or was made by somebody else."""

    code = "backup_damaged"
    http_status = 409


class Authenticator(Protocol):
    """Either key of a pair."""

    @property
    def id(self) -> str: ...

    def authenticate(self, data: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a backup, as it lies there: size in bytes and SHA-256 of the encrypted bytes."""

    path: str
    size: int
    sha256: str


@dataclass
class Manifest:
    """What a backup holds. ``unreadable`` lists files that rows name and that could not be read
    when it was made, with the reason; ``erased`` those whose row went while it was made."""

    id: str
    made_at: str
    backup_key: str
    vendor: str
    versions: dict[str, str]
    migrations: list[list[str]]
    tables: dict[str, int]
    settings: list[str]
    file_encryption: str
    file_keys: list[dict[str, str]]
    database: Part
    files: list[Part] = field(default_factory=list)
    unreadable: list[list[str]] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    format: int = FORMAT

    @property
    def size(self) -> int:
        return self.database.size + sum(part.size for part in self.files)

    def parts(self) -> Iterator[Part]:
        yield self.database
        yield from self.files

    def write(self, folder: Path, key: Authenticator) -> None:
        data = json.dumps(asdict(self), indent=1, sort_keys=True).encode()
        (folder / LIST).write_bytes(data)
        (folder / PROOF).write_text(key.authenticate(data).hex() + "\n", encoding="ascii")


def read_manifest(folder: Path, key: Authenticator) -> Manifest:
    """The list of the backup in ``folder``.

    :raises BackupDamaged: it is not there, altered, or not of this pair of keys.
    """
    try:
        data = (folder / LIST).read_bytes()
        proof = (folder / PROOF).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise BackupDamaged(
            _("There is no whole backup in this folder."), code="backup_not_found"
        ) from None
    if not hmac.compare_digest(key.authenticate(data).hex(), proof):
        raise BackupDamaged(
            _("The list of this backup was altered, or the key is not the one it was made with.")
        )
    found: dict[str, Any] = json.loads(data)
    if found.get("format") != FORMAT:
        raise BackupDamaged(
            _("This backup was made by another version of the portal; use that one."),
            code="backup_of_another_version",
        )
    found["database"] = Part(**found["database"])
    found["files"] = [Part(**part) for part in found["files"]]
    return Manifest(**found)


def check_parts(
    folder: Path, manifest: Manifest, *, tell: Callable[[int], None] = lambda _: None
) -> None:
    """Read every part and compare it. ``tell`` gets the number of bytes read so far.

    :raises BackupDamaged: with the name of the first part that is not what was made.
    """
    done = 0
    for part in manifest.parts():
        if not is_whole(folder, part):
            raise BackupDamaged(
                _("%(part)s is missing in this backup or was altered: use another one.")
                % {"part": part.path}
            )
        done += part.size
        tell(done)


def is_whole(folder: Path, part: Part) -> bool:
    """Whether the part is there and what was made."""
    path = folder / part.path
    try:
        if path.is_symlink() or path.stat().st_size != part.size:
            return False
        return digest_of(path) == part.sha256
    except OSError:
        return False


def digest_of(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
