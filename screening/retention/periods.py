"""Retention: whose record has lain for longer than the site wants, and letting it go."""

from __future__ import annotations

import logging
import time
from datetime import date, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, require
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.patients.models import Erasure, LegalHold, Patient
from screening.reading.models import Addendum, Reading
from screening.report.models import Report
from screening.retention.models import RetentionRule, after_the_grace
from screening.retention.services import complete_open, erase
from screening.studies.models import ConfirmedDiagnosis, Study

logger = logging.getLogger(__name__)

BUDGET_S = 10.0
"""A worker that removes records reads no X-rays meanwhile."""
AT_ONCE = 20
MOST_YEARS = 100
MINORS_UNTIL = (16, 25)


@transaction.atomic
def set_rule(
    *, actor: User, site: Site, years: int | None, minors_until: int | None
) -> RetentionRule:
    """Say how long ``site`` keeps records; it holds after a week of grace.

    :raises Forbidden: the actor may not decide that for the site.
    :raises InvalidInput: the numbers make no sense.
    """
    require(actor, Permission.SET_RETENTION, site.pk)
    if years is not None and not 1 <= years <= MOST_YEARS:
        raise InvalidInput(
            _("Choose between 1 and %(most)s years.") % {"most": MOST_YEARS}, field="years"
        )
    low, high = MINORS_UNTIL
    if minors_until is not None and not low <= minors_until <= high:
        raise InvalidInput(
            _("Choose an age between %(low)s and %(high)s.") % {"low": low, "high": high},
            field="minors_until",
        )
    Site.objects.select_for_update().get(pk=site.pk)
    before = RetentionRule.objects.filter(site=site).first()
    if before is not None and (before.years, before.minors_until) == (years, minors_until):
        return before
    rule, _created = RetentionRule.objects.update_or_create(
        site=site,
        defaults={
            "years": years,
            "minors_until": minors_until,
            "set_by": actor,
            "effective_at": after_the_grace(),
        },
    )
    record(
        "retention.set",
        rule,
        actor=actor,
        detail={
            "from": [before.years, before.minors_until] if before is not None else None,
            "to": [years, minors_until],
        },
    )
    return rule


def overdue(
    site: Site, *, years: int, minors_until: int | None, now: datetime | None = None
) -> QuerySet[Patient]:
    """The patients of ``site`` in whose record nothing has happened for ``years``, without hold."""
    now = now or timezone.now()
    since = _years_before(now, years)
    mine = OuterRef("pk")
    found = Patient.objects.filter(site=site, updated_at__lt=since).exclude(
        Exists(Study.objects.filter(patient=mine, created_at__gte=since))
        | Exists(Reading.objects.filter(study__patient=mine, saved_at__gte=since))
        | Exists(Addendum.objects.filter(reading__study__patient=mine, created_at__gte=since))
        | Exists(Report.objects.filter(study__patient=mine, issued_at__gte=since))
        | Exists(
            ConfirmedDiagnosis.objects.filter(study__patient=mine).filter(
                Q(recorded_at__gte=since) | Q(superseded_at__gte=since)
            )
        )
        | Exists(LegalHold.objects.filter(patient=mine, lifted_at__isnull=True))
    )
    if minors_until is not None:
        grown = _years_before(now, years + minors_until).date()
        found = found.exclude(birth_date__gt=grown)
    return found.order_by("updated_at", "pk")


def preview(actor: User, site: Site, *, years: int, minors_until: int | None) -> list[Patient]:
    """Who would go today; one line in the audit.

    :raises Forbidden: the actor may not decide that for the site.
    """
    require(actor, Permission.SET_RETENTION, site.pk)
    found = list(overdue(site, years=years, minors_until=minors_until)[:AT_ONCE])
    record("retention.preview", actor=actor, site_id=site.pk, detail={"shown": len(found)})
    return found


def apply_rules(*, budget_s: float = BUDGET_S) -> int:
    """Let go whose time is over, one patient a transaction; return how many.

    Stops after ``budget_s`` seconds. The next run goes on, since what is gone is not found again.
    """
    deadline = time.monotonic() + budget_s
    complete_open()
    done = 0
    rules = RetentionRule.objects.filter(years__isnull=False, effective_at__lte=timezone.now())
    for rule in rules.select_related("site"):
        assert rule.years is not None  # noqa: S101  (asked for)
        while time.monotonic() < deadline:
            due = overdue(rule.site, years=rule.years, minors_until=rule.minors_until)
            keys = list(due.values_list("pk", flat=True)[:AT_ONCE])
            gone = sum(_let_go(key) for key in keys if time.monotonic() < deadline)
            done += gone
            if not gone:
                break
    return done


def _let_go(patient_id: UUID) -> bool:
    try:
        erase(patient_id, kind=Erasure.Kind.RETENTION)
    except (Conflict, Patient.DoesNotExist):
        return False  # Held, or gone, since the list was made.
    return True


def _years_before(now: datetime, years: int) -> datetime:
    """The same day ``years`` earlier; of 29 February the 28th."""
    year = max(now.year - years, 1)
    day = date(year, now.month, 28) if (now.month, now.day) == (2, 29) else None
    return now.replace(year=year, day=day.day if day else now.day)
