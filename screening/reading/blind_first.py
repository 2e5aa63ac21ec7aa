"""The blind-first switch of a site: turning it, and asking where it is on."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from screening.accounts import policies
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.reading.models import BlindFirstSwitch


def hidden_since(site_ids: Collection[UUID] | None = None) -> dict[UUID, datetime]:
    """The sites whose switch is on, with the moment it was turned; all sites without a list."""
    newer = BlindFirstSwitch.objects.filter(
        site=OuterRef("site"), created_at__gt=OuterRef("created_at")
    )
    rows = BlindFirstSwitch.objects.filter(~Exists(newer), is_on=True)
    if site_ids is not None:
        rows = rows.filter(site__in=site_ids)
    return dict(rows.values_list("site_id", "created_at"))


@transaction.atomic
def set_blind_first(*, actor: User, site: Site, is_on: bool) -> BlindFirstSwitch | None:
    """Turn the switch of ``site``; saying what holds already adds nothing.

    :raises Forbidden: the actor may not set the policy of the site.
    """
    policies.require(actor, Permission.SET_READING_POLICY, site.pk)
    Site.objects.select_for_update().get(pk=site.pk)
    now = BlindFirstSwitch.objects.filter(site=site).first()
    if (now.is_on if now else False) == is_on:
        return now
    switch = BlindFirstSwitch.objects.create(site=site, is_on=is_on, set_by=actor)
    record("blind_first.set", switch, actor=actor, detail={"is_on": is_on})
    return switch


def blind_first_history(user: User, site: Site) -> list[BlindFirstSwitch]:
    """Every turn of the switch of one of the user's sites, the newest first."""
    rows = BlindFirstSwitch.objects.filter(site__in=Site.objects.of_member(user), site_id=site.pk)
    return list(rows.select_related("set_by"))
