"""How secrets that must be readable again are kept: sealed, never in clear text.

A second factor's secret has to be known to check a code, so a digest is not enough. It is sealed
with a key that is derived from ``SECRET_KEY``, which stands in a file and not in the database: a
copy of the database alone opens nothing. What an earlier key sealed (``SECRET_KEY_FALLBACKS``) is
still read, and sealed anew whenever it is used.
"""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class CannotUnseal(ValueError):
    """Sealed with a key that this portal does not have (any more), or altered."""


def seal(text: str) -> str:
    """``text``, encrypted and authenticated (AES-128-CBC with HMAC-SHA256, in Fernet's form)."""
    return _sealer().encrypt(text.encode()).decode("ascii")


def unseal(sealed: str) -> str:
    """What was sealed. Raises ``CannotUnseal``."""
    try:
        return _sealer().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise CannotUnseal from None


def _sealer() -> MultiFernet:
    return _sealer_of((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=4)
def _sealer_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"accounts.second-factor")
    return base64.urlsafe_b64encode(derive.derive(key.encode()))
