"""Sealing for somebody who is not here: a machine makes what it can't open itself.

A pair of small files. The *sealing key* stays on the server and makes backups; the *opening key* is
kept elsewhere and reads them. The data key is wrapped by X25519 (RFC 7748), HKDF-SHA256 (RFC 5869)
and AES-256-GCM. Both files share a secret that goes into the derivation and into the seal of the
list of parts: so a backup can neither be read nor be made up by somebody who has neither file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.utils.translation import gettext as _

from screening.core.errors import InvalidInput
from screening.core.keyring import SHOWN_TO_OTHERS
from screening.core.private_files import create_private_file
from screening.core.sealing import key_missing, seal_broken

KIND: Final = 2
SEALING: Final = "thorascreen-sealing-key-1"
OPENING: Final = "thorascreen-opening-key-1"
_HALF = 32
_MARK = 8
_ONCE = bytes(12)  # Each wrapping has a key of its own, so its nonce need not differ.


def _mark(public: bytes) -> bytes:
    return hashlib.sha256(b"thorascreen backup key\0" + public).digest()[:_MARK]


def _wrapping_key(shared: bytes, origin: bytes, sender: bytes, recipient: bytes) -> AESGCM:
    about = b"thorascreen wrap\0" + sender + recipient
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=origin, info=about).derive(shared))


def _authentic(origin: bytes, data: bytes) -> bytes:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"thorascreen list").derive(origin)
    return hmac.digest(key, data, "sha256")


@dataclass(frozen=True, slots=True)
class SealingKey:
    """Locks data keys for whoever holds the opening key."""

    public: bytes
    origin: bytes = field(repr=False)

    @property
    def kind(self) -> int:
        return KIND

    @property
    def id(self) -> str:
        return _mark(self.public).hex()

    def wrap(self, data_key: bytes, bound_to: bytes) -> bytes:
        once = X25519PrivateKey.generate()
        sender = once.public_key().public_bytes_raw()
        shared = once.exchange(X25519PublicKey.from_public_bytes(self.public))
        cipher = _wrapping_key(shared, self.origin, sender, self.public)
        return _mark(self.public) + sender + cipher.encrypt(_ONCE, data_key, bound_to)

    def authenticate(self, data: bytes) -> bytes:
        """What proves that ``data`` came from a holder of one of the two files."""
        return _authentic(self.origin, data)


@dataclass(frozen=True, slots=True)
class OpeningKey:
    """Opens what the sealing key of its pair has locked."""

    private: bytes = field(repr=False)
    origin: bytes = field(repr=False)

    @property
    def kind(self) -> int:
        return KIND

    @property
    def public(self) -> bytes:
        return X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()

    @property
    def id(self) -> str:
        return _mark(self.public).hex()

    def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        mark, sender = wrapped[:_MARK], wrapped[_MARK : _MARK + _HALF]
        public = self.public
        if mark != _mark(public):
            raise key_missing()
        try:
            own = X25519PrivateKey.from_private_bytes(self.private)
            shared = own.exchange(X25519PublicKey.from_public_bytes(sender))
            cipher = _wrapping_key(shared, self.origin, sender, public)
            return cipher.decrypt(_ONCE, wrapped[_MARK + _HALF :], bound_to)
        except (InvalidTag, ValueError):
            raise seal_broken() from None

    def authenticate(self, data: bytes) -> bytes:
        return _authentic(self.origin, data)


def make_pair(sealing: Path, opening: Path) -> SealingKey:
    """Make a new pair of key files, 600 each. Raises ``FileExistsError``; replaces nothing."""
    private, origin = X25519PrivateKey.generate(), secrets.token_bytes(_HALF)
    key = SealingKey(private.public_key().public_bytes_raw(), origin)
    for path in (sealing, opening):
        if path.exists():
            raise FileExistsError(path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    create_private_file(opening, _line(OPENING, private.private_bytes_raw() + origin))
    create_private_file(sealing, _line(SEALING, key.public + origin))
    return key


def read_sealing_key(path: Path) -> SealingKey:
    """Raises ``InvalidInput`` (``backup_key_unusable``) with what is wrong."""
    found = _read(path, SEALING)
    return SealingKey(found[:_HALF], found[_HALF:])


def read_opening_key(path: Path) -> OpeningKey:
    """Raises ``InvalidInput`` (``backup_key_unusable``) with what is wrong."""
    found = _read(path, OPENING)
    return OpeningKey(found[:_HALF], found[_HALF:])


def _line(word: str, data: bytes) -> str:
    return f"{word} {base64.urlsafe_b64encode(data).decode()}\n"


def _read(path: Path, word: str) -> bytes:
    try:
        if path.stat().st_mode & SHOWN_TO_OTHERS:
            raise _unusable(_("%(file)s can be read by other users; run chmod 600 on it."), path)
        found, _space, data = path.read_text(encoding="ascii").strip().partition(" ")
        secret = base64.urlsafe_b64decode(data)
    except (OSError, UnicodeDecodeError, binascii.Error):
        raise _unusable(_("%(file)s can't be read as a key file."), path) from None
    if found != word or len(secret) != 2 * _HALF:
        raise _unusable(_("%(file)s is not the key file that is needed here."), path)
    return secret


def _unusable(sentence: str, path: Path) -> InvalidInput:
    return InvalidInput(sentence % {"file": path.name}, code="backup_key_unusable")
