"""One hostile file, and what the portal has to say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MARK: Final = b"<script>alert(document.cookie)</script>"
"""What a polyglot smuggles; nothing that a browser shows may hold it."""

TAKEN: Final = ""


@dataclass(frozen=True, slots=True)
class Case:
    """``code`` is that of the refusal; ``TAKEN`` for what comes in because it does no harm."""

    make: Callable[[], bytes]
    code: str = TAKEN


Cases = dict[str, Case]
