"""File names as other people give them: only ever shown, never used as a path."""

from __future__ import annotations

import unicodedata

MAX_CHARACTERS = 255
# Control, format (with the bidirectional overrides that make "gpj.exe" read "exe.jpg"),
# surrogate, private, unassigned; line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean_name(name: str) -> str:
    """The last part of ``name`` with nothing in it that can't be seen, 255 characters at most."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    normal = unicodedata.normalize("NFC", last)
    seen = "".join(c for c in normal if unicodedata.category(c) not in _UNSEEN).strip()
    if seen in {".", ".."}:
        return ""
    if len(seen) <= MAX_CHARACTERS:
        return seen
    stem, dot, extension = seen.rpartition(".")
    if not dot or len(extension) > 10:
        return seen[:MAX_CHARACTERS]
    return f"{stem[: MAX_CHARACTERS - len(extension) - 1]}.{extension}"
