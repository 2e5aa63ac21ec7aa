"""What the operator says about the identity provider. Read by settings: knows no Django."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

ROLES = ("clinician", "admin")  # Weakest first; a test holds them to the portal's roles.
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class GroupRole:
    """Whoever is in ``group`` has ``role`` at the site named ``site``."""

    group: str
    site: str
    role: str


@dataclass(frozen=True)
class SignOn:
    """One identity provider. ``second_factor`` are values of ``amr`` or ``acr``; see RFC 8176."""

    name: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    groups: tuple[GroupRole, ...] = ()
    groups_claim: str = "groups"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    second_factor: frozenset[str] = frozenset()
    link_verified_email: bool = False

    def roles_of(self, groups: Iterable[str]) -> dict[str, str]:
        """For each site's name the strongest role that the groups give there."""
        held = set(groups)
        wanted: dict[str, str] = {}
        for one in self.groups:
            if one.group in held:
                wanted[one.site] = max(wanted.get(one.site, ROLES[0]), one.role, key=ROLES.index)
        return wanted

    def proves_second_factor(self, claims: dict[str, Any]) -> bool:
        """Whether the provider says that the person used a second factor that counts here."""
        amr = claims.get("amr")
        said = {str(one) for one in amr} if isinstance(amr, list) else set()
        return bool(self.second_factor & (said | {str(claims.get("acr", ""))}))


def read_issuer(address: str) -> str:
    """The issuer as its tokens name it. Raises ``ValueError`` unless it is ``https``."""
    parts = urlsplit(address)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE)
    if not is_safe or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an https address without query")
    return address


def read_groups(text: str) -> tuple[GroupRole, ...]:
    """The map of groups: a JSON list of ``{"group": …, "site": …, "role": …}``.

    Raises ``ValueError`` for anything else, and for a list that lets nobody in.
    """
    try:
        rows = json.loads(text)
        found = tuple(GroupRole(**row) for row in rows)
    except (TypeError, ValueError):
        raise ValueError('must be a JSON list of {"group", "site", "role"}') from None
    for row in found:
        if not all(isinstance(v, str) and v.strip() for v in (row.group, row.site)):
            raise ValueError("has a row without a group or a site")
        if row.role not in ROLES:
            raise ValueError(f"has a role that is not one of {', '.join(ROLES)}")
    if not found:
        raise ValueError("is empty")
    return found
