"""Whose account a named person has, and the roles that follow the groups.

A membership ``follows_groups`` if groups gave it, or if its account was linked to a person of the
provider. Such memberships come, change and go with the groups at each sign-in. What an admin here
gave or ended by hand stays as it is, and the last local admin of a site stays in any case: whoever
has a password must be able to get in when the provider is away or has gone wrong.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from django.db import transaction

from screening.accounts.models import ApiToken, Membership, OutsideIdentity, Role, Site, User
from screening.accounts.policies import Permission, has_active_membership, roles_with
from screening.accounts.sign_on.config import SignOn
from screening.audit.services import record

logger = logging.getLogger(__name__)

_NOT_IN_NAMES = re.compile(r"[^a-z0-9._@+-]+")
_NAME_LENGTH = 120


class SignOnRefused(Exception):
    """The provider knows the person, and the portal does not let it in."""

    def __init__(self, code: str, user: User | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.user = user


def admit(*, config: SignOn, claims: dict[str, Any]) -> User:
    """The account of the person, with the roles that the groups give; made if it is the first time.

    ``claims`` have been judged. Raises ``SignOnRefused``: ``sso_no_role``, ``sso_inactive``.
    """
    wanted = config.roles_of(_groups(claims.get(config.groups_claim)))
    with transaction.atomic():
        known = {site.name: site for site in Site.objects.select_for_update().order_by("pk")}
        for name in set(wanted) - set(known):
            logger.warning("sign-on: the map of groups names a site that does not exist")
            del wanted[name]
        user = _account(config, claims, is_wanted=bool(wanted))
        if user is not None:
            _follow(user, {known[name]: role for name, role in wanted.items()})
    # Outside of the transaction, so that what was taken away stays taken away.
    if user is None or not has_active_membership(user):
        is_off = user is not None and not user.is_active
        raise SignOnRefused("sso_inactive" if is_off else "sso_no_role", user)
    return user


def _groups(claim: Any) -> list[str]:
    if isinstance(claim, str):
        return [claim]
    return [one for one in claim if isinstance(one, str)] if isinstance(claim, list) else []


def _account(config: SignOn, claims: dict[str, Any], *, is_wanted: bool) -> User | None:
    """The linked account, one linked now, a new one; ``None`` for somebody without any role."""
    subject = claims["sub"]
    known = OutsideIdentity.objects.select_related("user")
    identity = known.filter(issuer=config.issuer, subject=subject).first()
    if identity is not None:
        return identity.user
    user = _by_email(claims) if config.link_verified_email else None
    if user is None and not is_wanted:
        return None
    if user is None:
        user = _make_account(claims)
        record("user.create", user, actor=user, detail={"by": "sign_on"})
    else:
        Membership.objects.filter(user=user, is_active=True).update(follows_groups=True)
        record("user.link", user, actor=user, detail={"by": "sign_on"})
    OutsideIdentity.objects.create(user=user, issuer=config.issuer, subject=subject)
    return user


def _by_email(claims: dict[str, Any]) -> User | None:
    """The one person of this address, which the provider has verified; nobody if it is in doubt."""
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str) or not email:
        return None
    found = list(
        User.objects.filter(
            email__iexact=email, is_active=True, outside_identity=None, service_account=None
        )[:2]
    )
    return found[0] if len(found) == 1 else None


def _make_account(claims: dict[str, Any]) -> User:
    """A person without a password. A user name that is taken is never taken over."""
    asked = str(claims.get("preferred_username") or claims.get("email") or "").lower()
    base = _NOT_IN_NAMES.sub("", asked)[:_NAME_LENGTH].strip("._@+-") or "user"
    name, number = base, 1
    while User.objects.filter(username__iexact=name).exists():
        number += 1
        name = f"{base}-{number}"
    email = str(claims.get("email") or "")[:254]
    user = User(
        username=name,
        email=email if claims.get("email_verified") is True else "",
        first_name=str(claims.get("given_name") or "")[:150],
        last_name=str(claims.get("family_name") or "")[:150],
    )
    user.set_unusable_password()
    user.save()
    return user


def _follow(user: User, wanted: dict[Site, str]) -> None:
    """Give and take what the groups say, where they have a say."""
    held = {m.site_id: m for m in Membership.objects.filter(user=user).select_related("site")}
    for site, role in wanted.items():
        membership = held.get(site.pk)
        if membership is None:
            made = Membership.objects.create(user=user, site=site, role=role, follows_groups=True)
            _note("user.join", made, user, role=role)
        elif membership.follows_groups:
            _bring_to(membership, user, role)
    sites = {site.pk for site in wanted}
    for site_id, membership in held.items():
        if membership.follows_groups and membership.is_active and site_id not in sites:
            if _is_last_local_admin(membership):
                _note("user.keep_last_admin", membership, user)
                continue
            membership.is_active = False
            membership.save(update_fields=("is_active", "updated_at"))
            _note("user.deactivate", membership, user)
    if not has_active_membership(user):
        ApiToken.objects.filter(user=user).delete()


def _bring_to(membership: Membership, user: User, role: str) -> None:
    if membership.is_active and membership.role == role:
        return
    manages = role in roles_with(Permission.MANAGE_USERS)
    if not manages and _is_last_local_admin(membership):
        _note("user.keep_last_admin", membership, user)
        return
    before, was_active = membership.role, membership.is_active
    membership.role, membership.is_active = role, True
    membership.save(update_fields=("role", "is_active", "updated_at"))
    if not was_active:
        _note("user.reactivate", membership, user, role=role)
    else:
        record(
            "user.set_role",
            membership,
            actor=user,
            detail={"from": before, "to": role, "by": "sign_on"},
        )


def _is_last_local_admin(membership: Membership) -> bool:
    """Whether nobody else could manage the site with a password, if this membership went."""
    managing = [role for role in roles_with(Permission.MANAGE_USERS) if role != Role.DEVICE]
    user = membership.user
    if membership.role not in managing or not membership.is_active:
        return False
    if not user.is_active or not user.has_usable_password():
        return False
    others = Membership.objects.filter(
        site_id=membership.site_id, role__in=managing, is_active=True, user__is_active=True
    ).exclude(pk=membership.pk)
    return not any(m.user.has_usable_password() for m in others.select_related("user"))


def _note(action: str, membership: Membership, user: User, **more: str) -> None:
    record(action, membership, actor=user, detail={"by": "sign_on", **more})
