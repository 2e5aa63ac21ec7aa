"""Names, numbers and dates that stand for others, consistent wherever one key is used.

Everything is a keyed hash (HMAC-SHA-256) of the portal's own random keys or of a file's UIDs: who
has not got the key can neither recompute nor undo it, and who has it can't undo it either, only
compare. A fresh key for each export makes exports unlinkable; a site's kept key links them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final
from uuid import UUID

KEY_BYTES: Final = 32
UUID_ROOT: Final = "2.25."
"""UIDs made of a 128-bit number need no registered root (DICOM PS3.5 section B.2)."""
LEAST_SHIFT: Final = 30
MOST_SHIFT: Final = 3650


def new_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


@dataclass(frozen=True)
class Pseudonyms:
    key: bytes = field(repr=False)

    def patient(self, patient_id: UUID) -> str:
        """What stands for name and record number, for instance ``TS-4QK7Z2M5XAHC``."""
        letters = base64.b32encode(self._hash("patient", str(patient_id))).decode("ascii")
        return f"TS-{letters[:12]}"

    def uid(self, kind: str, original: str) -> str:
        """Another UID for ``original``: the same one wherever it occurs under this key."""
        number = bytearray(self._hash(kind, original)[:16])
        number[6] = (number[6] & 0x0F) | 0x80  # A UUID of version 8 (RFC 9562): our own making.
        number[8] = (number[8] & 0x3F) | 0x80
        return UUID_ROOT + str(int.from_bytes(number, "big"))

    def shift(self, patient_id: UUID) -> timedelta:
        """By how much all dates of a patient are moved: a month to ten years into the past."""
        drawn = int.from_bytes(self._hash("dates", str(patient_id))[:8], "big")
        return -timedelta(days=LEAST_SHIFT + drawn % (MOST_SHIFT - LEAST_SHIFT + 1))

    def shifted(self, patient_id: UUID, day: date) -> date | None:
        """``day`` moved; None where that would lie before the calendar begins."""
        try:
            return day + self.shift(patient_id)
        except OverflowError:
            return None

    def _hash(self, kind: str, text: str) -> bytes:
        return hmac.new(self.key, f"{kind}:{text}".encode(), hashlib.sha256).digest()
