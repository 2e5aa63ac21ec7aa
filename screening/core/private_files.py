"""Small secret files: mode 600, and complete or not there at all.

Needs nothing but the standard library: it is used before the portal is set up.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def create_private_file(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, which must not exist yet.

    Raises ``FileExistsError`` when another process was quicker.
    """
    with _draft_of(path, text) as draft:
        os.link(draft, path)


def replace_private_file(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, in the place of what may be there; makes its folder private."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _draft_of(path, text) as draft:
        draft.replace(path)


@contextmanager
def _draft_of(path: Path, text: str) -> Iterator[Path]:
    """A complete copy beside ``path``, on the disk, gone again at the end unless it was moved.

    It is opened with ``O_EXCL`` under a name that nobody can foresee, so a link laid in its way
    is not followed.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
