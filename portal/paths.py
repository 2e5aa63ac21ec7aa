"""Where run-time data lives, and how its private folders and files are made."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from screening.core.private_files import create_private_file

BASE_DIR = Path(__file__).resolve().parent.parent

# Linux allows 108 bytes for a socket's path, the closing zero included.
SOCKET_PATH_LIMIT = 107
MEANT_OTHERWISE_IN_ADDRESSES = frozenset("%?#")
SECRET_KEY_BYTES = 64


def make_private_folder(path: Path) -> None:
    """Make ``path`` (and what leads to it) so that only its owner can enter it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(0o700)


def read_or_make_secret_key(path: Path) -> str:
    """The installation's own secret key, generated at the first start."""
    if not path.exists():
        make_private_folder(path.parent)
        # Another process of the same start may write it at this moment; then read that one.
        with suppress(FileExistsError):
            create_private_file(path, secrets.token_urlsafe(SECRET_KEY_BYTES) + "\n")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ImproperlyConfigured(
            f"{path} can be read by other users of this machine. Run: chmod 600 {path}"
        )
    key = path.read_text(encoding="utf-8").strip()
    if len(key) < 50:
        raise ImproperlyConfigured(f"{path} holds no usable secret key. Move it away and restart.")
    return key


def redis_socket_path(var_dir: Path) -> Path:
    """Where the embedded Redis listens.

    Normally ``var/run/redis.sock``. A deep folder makes that longer than a socket's path may
    be, and some characters mean something else in a broker's address; the socket then lives in a
    private folder under the system's temporary one, with a name derived from ``var_dir`` so that
    every process finds the same place.
    """
    wanted = var_dir / "run" / "redis.sock"
    fits = len(os.fsencode(wanted)) <= SOCKET_PATH_LIMIT
    if fits and not MEANT_OTHERWISE_IN_ADDRESSES & set(str(wanted)):
        return wanted
    digest = hashlib.sha256(os.fsencode(var_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"thorascreen-{os.getuid()}-{digest}" / "redis.sock"


def make_socket_folder(socket_path: Path) -> None:
    """Make the folder of ``socket_path`` private, and refuse one that belongs to somebody else.

    Anybody may create a name under the temporary folder, so ownership is checked before use.
    """
    folder = socket_path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ImproperlyConfigured(f"{folder} belongs to another user; remove it and restart.")
    folder.chmod(0o700)
