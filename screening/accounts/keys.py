"""Random secrets, and the only form in which they are kept."""

from __future__ import annotations

import hashlib
import secrets

# No letter that is mistaken for another on paper or on a bad screen: i l o 0 1.
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"


def new_secret() -> str:
    """256 random bits, safe in an address and in a header."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """SHA-256 in hexadecimal. Enough without salt, because ``new_secret`` cannot be guessed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def readable_password() -> str:
    """A password that can be read aloud: four groups of five, 99 random bits."""
    groups = ("".join(secrets.choice(_READABLE) for _ in range(5)) for _ in range(4))
    return "-".join(groups)
