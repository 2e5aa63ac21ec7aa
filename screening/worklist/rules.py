"""How a site works through its list: reading the rule, and changing it."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from screening.accounts import policies
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.worklist.models import Order, Rule


def rule_of(site_id: UUID) -> Rule:
    """The site's rule; the defaults, unsaved, where nobody has chosen."""
    return Rule.objects.filter(site=site_id).first() or Rule(site_id=site_id)


def set_rule(*, actor: User, site: Site, order: Order, cap_minutes: int, idle_minutes: int) -> Rule:
    """Choose how the site's list is ordered and how long an idle claim lasts.

    Takes effect with the next page: the order is worked out when a page is read.

    :raises Forbidden: the actor does not rule over this site's list.
    """
    policies.require(actor, Permission.RULE_WORKLIST, site.pk)
    values = {"order": order, "cap_minutes": cap_minutes, "idle_minutes": idle_minutes}
    with transaction.atomic():
        rule, _ = Rule.objects.update_or_create(site=site, defaults=values)
        record("worklist.rule", rule, actor=actor, detail={**values, "order": str(order)})
    return rule
