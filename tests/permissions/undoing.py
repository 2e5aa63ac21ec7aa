"""Each person finds the portal as it was before the one before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.db import transaction


@contextmanager
def undone() -> Iterator[None]:
    """What the block does to the database is gone after it; files that it removed are back."""
    # Not ``atomic``: the intake insists on the outermost transaction.
    savepoint = transaction.savepoint()
    cache.clear()  # Whoever asks often is told to wait, and these all ask from one address.
    kept = _second_names()
    try:
        yield
    finally:
        transaction.savepoint_rollback(savepoint)
        for file, second in kept.items():
            if not file.exists():
                os.link(second, file)


def _second_names() -> dict[Path, Path]:
    """Every stored file with a second name outside the folder, which keeps its bytes."""
    root = Path(settings.MEDIA_ROOT)
    beside = root.parent / f"{root.name}-kept"
    kept = {}
    for file in (path for path in root.rglob("*") if path.is_file()):
        second = beside / file.relative_to(root)
        if not second.exists():
            second.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, second)
        kept[file] = second
    return kept
