"""Opening a record of another site in an emergency, ending that, and reviewing it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from screening.accounts import policies
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission
from screening.audit.models import Outcome
from screening.audit.services import record
from screening.core import row_security
from screening.core.errors import Conflict, InvalidInput, PortalError
from screening.emergency import rules, selectors
from screening.emergency.models import EmergencyAccess, EmergencyAttempt, EmergencyReview
from screening.patients.models import Patient
from screening.patients.normalise import mrn_key, name_key
from screening.worklist import notices

SHORTEST_REASON = 20
"""Characters: about four words. Fewer say nothing that an admin could judge."""
LONGEST_REASON = 1000
MOST_ATTEMPTS = 10
"""Exact searches that one person may make within an hour."""


class TooManyAttempts(PortalError):
    """So many records are needed in no emergency."""

    code = "too_many_attempts"
    http_status = 429


class NotFound(PortalError):
    """No record of that site fits exactly."""

    code = "no_such_record"
    http_status = 404


@dataclass(frozen=True)
class Sought:
    """Whose record is needed: an MRN, or a family name with a birth date. Capitals do not count."""

    site: Site
    mrn: str = ""
    family_name: str = ""
    birth_date: dt.date | None = None


def open_record(*, actor: User, sought: Sought, reason: str) -> EmergencyAccess:
    """Find the record and open it to ``actor`` for reading, for some hours.

    Every try is counted and audited at the site it aims at. A record that is opened stands in the
    audit of both sites, and their admins are told at once.

    :raises Forbidden: the actor's role opens nothing, or the site lets nobody in.
    :raises InvalidInput: there is too little to go by, or the reason is too short.
    :raises TooManyAttempts: the actor has searched too often within an hour.
    :raises NotFound: no record fits, or more than one.
    """
    home = policies.home_site(actor, Permission.BREAK_GLASS)
    reason = _checked_reason(reason)
    if sought.site not in rules.sites_open_to(actor):
        raise InvalidInput(
            _("Records of this site can’t be opened in this way."), code="site_closed", field="site"
        )
    if not sought.mrn.strip() and not (sought.family_name.strip() and sought.birth_date):
        raise InvalidInput(_("Enter the MRN, or the family name and the birth date."), field="mrn")
    _count_attempts(actor)
    # The record is not the actor's to see before this: the one question across the border.
    with row_security.lifted(), transaction.atomic():
        patient = _find(sought)
        EmergencyAttempt.objects.create(user=actor, site=sought.site, found=patient is not None)
        access = _open(actor, home, patient, reason) if patient is not None else None
        if access is None:
            record("emergency.search", actor=actor, site_id=sought.site.pk, outcome=Outcome.FAILED)
    if access is None:
        raise NotFound(
            _(
                "No single record at %(site)s fits exactly. Check what you typed; "
                "this attempt is noted."
            )
            % {"site": sought.site}
        )
    return access


def _open(actor: User, home: Site, patient: Patient, reason: str) -> EmergencyAccess:
    hours = settings.EMERGENCY_ACCESS_HOURS
    access = EmergencyAccess.objects.create(
        user=actor,
        home_site=home,
        site_id=patient.site_id,
        patient=patient,
        reason=reason,
        expires_at=timezone.now() + dt.timedelta(hours=hours),
    )
    sites = [patient.site_id, home.pk]
    for site_id in sites:
        detail = {"access": str(access.pk), "hours": hours, "from": str(home.pk)}
        record("emergency.open", patient, actor=actor, site_id=site_id, detail=detail)
    for site_id, people in selectors.reviewers_of(sites).items():
        for user_id in people:
            if user_id != actor.pk:
                notices.tell_of_emergency(user_id=user_id, site_id=site_id, caused_by=actor)
    return access


def _find(sought: Sought) -> Patient | None:
    rows = Patient.objects.filter(site=sought.site)
    if sought.mrn.strip():
        rows = rows.filter(mrn_key=mrn_key(sought.mrn))
    if sought.family_name.strip():
        rows = rows.filter(family_key=name_key(sought.family_name))
    if sought.birth_date is not None:
        rows = rows.filter(birth_date=sought.birth_date)
    found = list(rows[:2])
    return found[0] if len(found) == 1 else None


def _checked_reason(text: str) -> str:
    reason = " ".join(text.split())
    if len(reason) < SHORTEST_REASON:
        raise InvalidInput(
            _("Say in a sentence of %(least)s characters or more why you need this record now.")
            % {"least": SHORTEST_REASON},
            code="reason_too_short",
            field="reason",
        )
    if len(reason) > LONGEST_REASON:
        raise InvalidInput(
            _("Use at most %(count)s characters.") % {"count": LONGEST_REASON}, field="reason"
        )
    return reason


def _count_attempts(actor: User) -> None:
    since = timezone.now() - dt.timedelta(hours=1)
    tried = EmergencyAttempt.objects.filter(user=actor, created_at__gt=since).count()
    if tried >= MOST_ATTEMPTS:
        record("emergency.search", actor=actor, outcome=Outcome.DENIED, detail={"tried": tried})
        raise TooManyAttempts(
            ngettext(
                "You have searched once within the last hour. Wait, or call the other site.",
                "You have searched %(count)s times within the last hour. "
                "Wait, or call the other site.",
                tried,
            )
            % {"count": tried}
        )


def end_access(*, actor: User, access: EmergencyAccess) -> bool:
    """Close the record again, and say whether it was open.

    ``access`` was found by ``visible_to(actor)``.
    """
    with row_security.lifted(), transaction.atomic():  # The row is the other site's.
        rows = EmergencyAccess.objects.filter(pk=access.pk).open()
        if not rows.update(ended_at=timezone.now(), ended_by=actor):
            return False
        for site_id in (access.site_id, access.home_site_id):
            detail = {"access": str(access.pk)}
            record("emergency.end", access.patient, actor=actor, site_id=site_id, detail=detail)
    return True


def review_access(*, actor: User, access: EmergencyAccess, site_id: UUID, remark: str) -> None:
    """Note that an admin has looked into it, for one of the two sites.

    ``access`` was found by ``visible_to(actor)``.

    :raises Forbidden: the actor does not review emergencies at this site.
    :raises InvalidInput: the access has nothing to do with the site.
    :raises Conflict: ``already_reviewed``, or ``own_access``.
    """
    if site_id not in (access.site_id, access.home_site_id):
        raise InvalidInput(_("This emergency access concerns other sites."), field="site")
    policies.require(actor, Permission.REVIEW_EMERGENCIES, site_id)
    if access.user_id == actor.pk:
        raise Conflict(_("Somebody else has to review what you opened."), code="own_access")
    remark = remark.strip()[:LONGEST_REASON]
    try:
        with transaction.atomic():
            review = EmergencyReview.objects.create(
                access=access, site_id=site_id, reviewed_by=actor, remark=remark
            )
            detail = {"access": str(access.pk), "remark": bool(remark)}
            record("emergency.review", review, actor=actor, detail=detail)
    except IntegrityError:
        raise Conflict(
            _("This was reviewed for your site already."), code="already_reviewed"
        ) from None
