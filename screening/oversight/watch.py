"""Verifying the audit by the clock, keeping its anchors, and telling administrators."""

from __future__ import annotations

import logging
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from screening.accounts.mail import send_letter
from screening.accounts.models import Membership
from screening.accounts.policies import Permission, roles_with
from screening.audit.anchors import send_anchors, write_anchors
from screening.audit.findings import Finding
from screening.audit.models import NO_SITE, Check, Outcome
from screening.audit.services import record
from screening.audit.verification import chains, run_check, start_check
from screening.worklist.notices import tell_of_audit

logger = logging.getLogger(__name__)

SLICE_S = 12.0  # Well below what a task may take; what is left over is done by the next one.

_SUBJECT = _("ThoraScreen: the audit is not as it was written")
_LETTER = _("""The verification of the audit found this:

%(findings)s

Somebody or something changed the database past the portal. Keep a copy of the database and of the
anchors as they are now before anything else is done, and tell whoever is responsible for security.
The page "Audit" of the portal says the same.
""")


def keep_anchors() -> None:
    """Put the heads of the chains outside the database, and send what was not sent yet."""
    write_anchors(chains())
    send_anchors()


def verify_on(*, full: bool) -> bool:
    """Begin a verification, or go on with the one that was begun; whether it is finished now."""
    check = Check.objects.filter(finished_at=None, full=full).first() or start_check(full=full)
    if not run_check(check, seconds=SLICE_S):
        return False
    conclude(check)
    return True


def conclude(check: Check) -> None:
    """Record that a verification has ended, and tell administrators what is newly wrong."""
    broken = [Finding.from_json(stored) for stored in check.findings]
    record(
        "audit.verify",
        outcome=Outcome.FAILED if broken else Outcome.OK,
        detail={"events": check.events, "full": check.full, "findings": len(broken)},
    )
    before = Check.objects.exclude(finished_at=None).exclude(pk=check.pk).first()
    known = before.findings if before is not None else []
    fresh = [finding for finding in broken if finding.as_json() not in known]
    for finding in fresh:
        logger.error("the audit is broken: %s", finding.sentence)
    for membership in _administrators([finding.chain for finding in fresh]):
        person = membership.user
        concerned = [one for one in fresh if one.chain in (membership.site_id, NO_SITE)]
        tell_of_audit(user_id=person.pk, site_id=membership.site_id)
        with override(person.language or settings.LANGUAGE_CODE):
            lines = "\n".join(f"- {finding.sentence}" for finding in concerned)
            body = _LETTER % {"findings": lines}
            send_letter(to=person.email, subject=str(_SUBJECT), body=body)


def _administrators(broken: list[UUID]) -> QuerySet[Membership]:
    """Who may see the audit at the sites of these chains; everybody's for nobody's chain."""
    if not broken:
        return Membership.objects.none()
    members = Membership.objects.filter(
        is_active=True, role__in=roles_with(Permission.VIEW_AUDIT), user__is_active=True
    )
    if NO_SITE not in broken:
        members = members.filter(site__in=broken)
    return members.select_related("user").order_by("created_at")
