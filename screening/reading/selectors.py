"""What the pages read: studies with their images, jobs and newest results, in few queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from screening.accounts.policies import Permission, memberships_with
from screening.core.errors import InvalidInput
from screening.inference.selectors import StudyRows, with_label, with_results
from screening.patients.models import Patient
from screening.reading.cards import StudyCard, card_of_study
from screening.studies.models import OPEN_STATUSES, Image, Status, Study

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from screening.accounts.models import User

PAGE_SIZE = 50
ATTENTION_DAYS = 14


@dataclass(frozen=True)
class HistoryFilter:
    """What somebody wants to see of the history; empty means everything."""

    status: str = ""
    label: str = ""
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class StudyPage:
    """One page of studies, newest first, with the marks that lead to its neighbours."""

    cards: Sequence[StudyCard]
    newer: str = ""
    older: str = ""


@dataclass(frozen=True)
class Rights:
    """What a person may do with a patient's record."""

    edit: bool
    upload: bool
    retry: bool


def rights_at(user: User | AnonymousUser, site_id: UUID) -> Rights:
    def may(permission: Permission) -> bool:
        return memberships_with(user, permission).filter(site_id=site_id).exists()

    return Rights(
        edit=may(Permission.EDIT_PATIENTS),
        upload=may(Permission.UPLOAD_STUDIES),
        retry=may(Permission.RETRY_JOBS),
    )


def studies_for(user: User | AnonymousUser) -> StudyRows:
    """Every study that ``user`` may see, with all that a card needs in three queries."""
    return with_results(
        Study.objects.visible_to(user)
        .select_related("patient", "uploaded_by")
        .order_by("-created_at", "-id")
    )


def latest_studies(user: User | AnonymousUser, *, limit: int) -> list[StudyCard]:
    return [card_of_study(study) for study in studies_for(user)[:limit]]


def studies_needing_attention(user: User | AnonymousUser, *, limit: int) -> list[StudyCard]:
    """Recent studies of which an image failed or was refused, newest first."""
    stuck = Image.objects.filter(study=OuterRef("pk"), status__in=(Status.FAILED, Status.REFUSED))
    recent = timezone.now() - timedelta(days=ATTENTION_DAYS)
    studies = studies_for(user).filter(Exists(stuck), created_at__gte=recent)
    return [card_of_study(study) for study in studies[:limit]]


def study_history(
    user: User | AnonymousUser,
    wanted: HistoryFilter,
    *,
    before: str = "",
    after: str = "",
) -> StudyPage:
    """One page of the studies of the person's sites, newest first."""
    return _page(_narrow(studies_for(user), wanted), before=before, after=after)


def patient_timeline(
    user: User | AnonymousUser, patient: Patient, *, before: str = "", after: str = ""
) -> StudyPage:
    """One page of a patient's studies, newest first."""
    return _page(studies_for(user).filter(patient=patient), before=before, after=after)


def _narrow(studies: StudyRows, wanted: HistoryFilter) -> StudyRows:
    if wanted.status == "open":
        studies = studies.filter(status__in=OPEN_STATUSES)
    elif wanted.status:
        studies = studies.filter(status=wanted.status)
    if wanted.label:
        studies = with_label(studies, wanted.label)
    if wanted.since:
        studies = studies.filter(created_at__gte=_midnight(wanted.since))
    if wanted.until:
        studies = studies.filter(created_at__lt=_midnight(wanted.until + timedelta(days=1)))
    return studies


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _page(studies: StudyRows, *, before: str, after: str) -> StudyPage:
    """Cut one page out by keyset: however deep the page, the database reads one page of rows."""
    if after:
        at, pk = _read_mark(after)
        newer = studies.filter(created_at__gte=at).filter(
            Q(created_at__gt=at) | Q(created_at=at, pk__gt=pk)
        )
        found = list(newer.order_by("created_at", "id")[: PAGE_SIZE + 1])
        more_newer, more_older = len(found) > PAGE_SIZE, True
        found = found[:PAGE_SIZE][::-1]
    else:
        if before:
            at, pk = _read_mark(before)
            studies = studies.filter(created_at__lte=at).filter(
                Q(created_at__lt=at) | Q(created_at=at, pk__lt=pk)
            )
        found = list(studies[: PAGE_SIZE + 1])
        more_newer, more_older = bool(before), len(found) > PAGE_SIZE
        found = found[:PAGE_SIZE]
    return StudyPage(
        cards=[card_of_study(study) for study in found],
        newer=_mark(found[0]) if found and more_newer else "",
        older=_mark(found[-1]) if found and more_older else "",
    )


def _mark(study: Study) -> str:
    """A study's place in the order: microseconds since 1970 and its key."""
    since = study.created_at - datetime(1970, 1, 1, tzinfo=UTC)
    return f"{since // timedelta(microseconds=1)}-{study.pk.hex}"


def _read_mark(mark: str) -> tuple[datetime, UUID]:
    try:
        micros, _, key = mark.partition("-")
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros))
        return at, UUID(key)
    except (ValueError, OverflowError):
        raise InvalidInput(
            "The address names a page that does not exist; start from the newest studies.",
            code="unknown_page",
        ) from None
