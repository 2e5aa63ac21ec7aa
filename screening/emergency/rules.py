"""Whom a site lets open its records in an emergency."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from screening.accounts import policies
from screening.accounts.models import Membership, Role, Site, User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core import row_security
from screening.emergency.models import EmergencyAccess, EmergencyRule, MayOpen


def may_open_at(site_id: UUID) -> MayOpen:
    """What holds at a site now."""
    rule = EmergencyRule.objects.filter(site=site_id).first()
    return MayOpen(rule.may_open) if rule is not None else MayOpen.ALL


def sites_open_to(user: User) -> list[Site]:
    """The sites where ``user`` does not work and whose records ``user`` may open, by name."""
    if not policies.memberships_with(user, Permission.BREAK_GLASS).exists():
        return []
    own = Membership.objects.filter(user=user, is_active=True)
    closed = [MayOpen.NOBODY.value]
    if not own.filter(role=Role.ADMIN).exists():
        closed.append(MayOpen.ADMINS.value)
    others = Site.objects.exclude(pk__in=own.values("site_id"))
    return list(others.exclude(emergency_rule__may_open__in=closed).order_by("name"))


def set_may_open(*, actor: User, site: Site, may_open: MayOpen) -> None:
    """Say who may. What it shuts out, it also ends where it is open.

    :raises Forbidden: the actor may not set it at this site.
    """
    policies.require(actor, Permission.MANAGE_SITE, site.pk)
    with transaction.atomic():
        rule, _created = EmergencyRule.objects.update_or_create(
            site=site, defaults={"may_open": may_open}
        )
        record("emergency.rule", rule, actor=actor, detail={"may_open": may_open.value})
        if may_open == MayOpen.NOBODY:
            with row_security.lifted():  # Held by people of other sites.
                EmergencyAccess.objects.filter(site=site).open().update(
                    ended_at=timezone.now(), ended_by=actor
                )
