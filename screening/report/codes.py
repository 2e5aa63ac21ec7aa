"""Verification codes: whoever holds a report can ask whether it is genuine, and nobody can guess.

Twenty-eight characters of Crockford's Base32, 140 bits of the system's randomness. They are read
aloud and typed, so letters that look like digits do not occur and are taken for them.
"""

from __future__ import annotations

import secrets

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = 28
GROUP = 4
_LOOKALIKES = str.maketrans({"o": "0", "i": "1", "l": "1"})


def new_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def readable(code: str) -> str:
    """In groups of four capitals, as it is printed."""
    return "-".join(code[at : at + GROUP] for at in range(0, len(code), GROUP)).upper()


def normal(text: str) -> str:
    """What somebody typed, as codes are kept; empty where it can't be one."""
    plain = "".join(c for c in text.lower() if c not in " -\u2010\u2011\u2013")
    code = plain.translate(_LOOKALIKES)
    return code if len(code) == LENGTH and set(code) <= set(ALPHABET) else ""
