"""Judging the ID token of a provider (OpenID Connect Core 1.0, section 3.1.3.7)."""

from __future__ import annotations

import time
from typing import Any

import jwt
from django.utils.crypto import constant_time_compare

from screening.accounts.sign_on.config import SignOn

# Signed with a key pair only: a token "signed" with what everybody can read is worth nothing.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
LEEWAY_S = 30  # Two clocks never agree.
_REQUIRED = ["iss", "sub", "aud", "exp", "iat"]


class NotTrusted(Exception):
    """The token does not prove who it is about."""


def judge(token: str, *, keys: dict[str, Any], config: SignOn, nonce: str) -> dict[str, Any]:
    """The claims of ``token``; ``keys`` is the provider's JWK set.

    Raises ``NotTrusted`` for a wrong signature, issuer, audience or nonce, and for one that has
    expired or lacks a claim.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key=_key_of(token, keys),
            algorithms=ALGORITHMS,
            audience=config.client_id,
            issuer=config.issuer,
            leeway=LEEWAY_S,
            options={"require": _REQUIRED},
        )
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise NotTrusted(type(error).__name__) from None
    audience = claims["aud"]
    if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != config.client_id:
        raise NotTrusted("azp")
    if not nonce or not constant_time_compare(str(claims.get("nonce", "")), nonce):
        raise NotTrusted("nonce")
    if not claims["sub"] or len(claims["sub"]) > 255:
        raise NotTrusted("sub")
    return claims


def is_fresh(claims: dict[str, Any], seconds: float) -> bool:
    """Whether the provider says that the person proved the identity so short a time ago."""
    at = claims.get("auth_time")
    return isinstance(at, int | float) and abs(time.time() - at) <= seconds + LEEWAY_S


def _key_of(token: str, keys: dict[str, Any]) -> jwt.PyJWK:
    wanted = jwt.get_unverified_header(token).get("kid")
    usable = [
        key for key in jwt.PyJWKSet.from_dict(keys).keys if key.public_key_use in (None, "sig")
    ]
    named = [key for key in usable if key.key_id == wanted]
    if wanted is not None and named:
        return named[0]
    if wanted is None and len(usable) == 1:
        return usable[0]
    raise NotTrusted("kid")
