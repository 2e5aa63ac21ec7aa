"""The identity provider, out of the environment and of secret files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from django.core.exceptions import ImproperlyConfigured

from portal.env import Env
from screening.accounts.sign_on.config import SignOn, read_groups, read_issuer

Value = TypeVar("Value")


def read_sign_on(env: Env) -> SignOn | None:
    """The provider of ``OIDC_ISSUER``; None where nothing is set."""
    if not env.has("OIDC_ISSUER"):
        return None
    file = Path(env.text("OIDC_GROUPS_FILE"))
    try:
        groups = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"OIDC_GROUPS_FILE names a file that cannot be read: {type(error).__name__}."
        ) from None
    return SignOn(
        name=env.text("OIDC_NAME"),
        issuer=_checked("OIDC_ISSUER", read_issuer, env.text("OIDC_ISSUER")),
        client_id=env.text("OIDC_CLIENT_ID"),
        client_secret=env.secret("OIDC_CLIENT_SECRET"),
        groups=_checked("OIDC_GROUPS_FILE", read_groups, groups),
        groups_claim=env.text("OIDC_GROUPS_CLAIM", "groups"),
        scopes=tuple(env.words("OIDC_SCOPES")) or SignOn.scopes,
        second_factor=frozenset(env.words("OIDC_SECOND_FACTOR")),
        link_verified_email=env.boolean("OIDC_LINK_VERIFIED_EMAIL", False),
    )


def _checked(name: str, read: Callable[[str], Value], text: str) -> Value:
    try:
        return read(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} {error}.") from None
