"""What the pages read: studies with their images, jobs and newest results, in few queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts.policies import Permission, memberships_with, sites_where
from screening.core.errors import InvalidInput
from screening.inference.selectors import StudyRows, with_label, with_results
from screening.patients.models import Patient
from screening.reading.selectors import answer_shown_to
from screening.record.cards import StudyCard, cards_for
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
    accesses: bool
    hold: bool = False
    erase: bool = False


def rights_at(user: User | AnonymousUser, site_id: UUID) -> Rights:
    def may(permission: Permission) -> bool:
        return memberships_with(user, permission).filter(site_id=site_id).exists()

    return Rights(
        edit=may(Permission.EDIT_PATIENTS),
        upload=may(Permission.UPLOAD_STUDIES),
        retry=may(Permission.RETRY_JOBS),
        accesses=may(Permission.VIEW_ACCESSES),
        hold=may(Permission.HOLD_PATIENTS),
        erase=may(Permission.ERASE_PATIENTS),
    )


def studies_for(user: User | AnonymousUser) -> StudyRows:
    """Every study that ``user`` may see, with all that a card needs in three queries."""
    return with_results(
        Study.objects.visible_to(user)
        .select_related("patient", "uploaded_by")
        .order_by("-created_at", "-id")
    )


def _lists_of(user: User | AnonymousUser) -> list[StudyRows]:
    """The studies of each of the person's sites, newest first: what was opened elsewhere is not.

    One list a site, because an index that begins with the site has an order only within it: asked
    for several sites at once, the database sorts all their studies to show fifty.
    """
    sites = sites_where(user, Permission.VIEW_STUDIES).values_list("pk", flat=True)
    rows = Study.objects.at_sites_of(user).order_by("-created_at", "-id")
    return [rows.filter(site_id=site_id) for site_id in sites]


def _first_of(user: User | AnonymousUser, lists: Sequence[StudyRows], limit: int) -> list[Study]:
    """The first ``limit`` studies of lists that run in the same order, newest or oldest first."""
    if not lists:
        return []
    if len(lists) > 1:
        marks = [row for rows in lists for row in rows.values_list("created_at", "pk")[:limit]]
        is_descending = str(lists[0].query.order_by[0]).startswith("-")
        keys = [pk for _at, pk in sorted(marks, reverse=is_descending)[:limit]]
        found = {study.pk: study for study in studies_for(user).filter(pk__in=keys)}
        return [found[pk] for pk in keys if pk in found]
    rows = lists[0].select_related("patient", "uploaded_by")
    return list(with_results(rows)[:limit])


def latest_studies(user: User | AnonymousUser, *, limit: int) -> list[StudyCard]:
    return cards_for(user, _first_of(user, _lists_of(user), limit))


def studies_needing_attention(user: User | AnonymousUser, *, limit: int) -> list[StudyCard]:
    """Recent studies of which an image failed or was refused, newest first."""
    stuck = Image.objects.filter(study=OuterRef("pk"), status__in=(Status.FAILED, Status.REFUSED))
    recent = timezone.now() - timedelta(days=ATTENTION_DAYS)
    lists = [rows.filter(Exists(stuck), created_at__gte=recent) for rows in _lists_of(user)]
    return cards_for(user, _first_of(user, lists, limit))


def study_history(
    user: User | AnonymousUser,
    wanted: HistoryFilter,
    *,
    before: str = "",
    after: str = "",
) -> StudyPage:
    """One page of the studies of the person's sites, newest first."""
    lists = [_narrow(user, rows, wanted) for rows in _lists_of(user)]
    return _page(user, lists, before=before, after=after)


def history_exceeds(user: User | AnonymousUser, wanted: HistoryFilter, most: int) -> bool:
    """Whether more than ``most`` studies fit, without counting any further."""
    left = most
    for rows in _lists_of(user):
        left -= _narrow(user, rows, wanted).values_list("pk")[: left + 1].count()
        if left < 0:
            return True
    return False


def patient_timeline(
    user: User | AnonymousUser, patient: Patient, *, before: str = "", after: str = ""
) -> StudyPage:
    """One page of a patient's studies, newest first."""
    rows = Study.objects.visible_to(user).filter(patient=patient).order_by("-created_at", "-id")
    return _page(user, [rows], before=before, after=after)


def labelled(user: User | AnonymousUser, studies: StudyRows, label: str) -> StudyRows:
    """The ``studies`` whose answer is ``label``, of those whose answer ``user`` may see.

    Any other study would tell its hidden answer by being in the list, or by not being in it.
    """
    return with_label(studies.filter(answer_shown_to(user)), label)


def _narrow(user: User | AnonymousUser, studies: StudyRows, wanted: HistoryFilter) -> StudyRows:
    if wanted.status == "open":
        studies = studies.filter(status__in=OPEN_STATUSES)
    elif wanted.status:
        studies = studies.filter(status=wanted.status)
    if wanted.label:
        studies = labelled(user, studies, wanted.label)
    if wanted.since:
        studies = studies.filter(created_at__gte=_midnight(wanted.since))
    if wanted.until:
        studies = studies.filter(created_at__lt=_midnight(wanted.until + timedelta(days=1)))
    return studies


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _page(
    user: User | AnonymousUser, lists: Sequence[StudyRows], *, before: str, after: str
) -> StudyPage:
    """Cut one page out by keyset: however deep the page, the database reads one page of each list.

    ``lists`` run newest first, and are merged.
    """
    if after:
        at, pk = _read_mark(after)
        is_newer = Q(created_at__gt=at) | Q(created_at=at, pk__gt=pk)
        lists = [
            rows.filter(created_at__gte=at).filter(is_newer).order_by("created_at", "id")
            for rows in lists
        ]
        found = _first_of(user, lists, PAGE_SIZE + 1)
        more_newer, more_older = len(found) > PAGE_SIZE, True
        found = found[:PAGE_SIZE][::-1]
    else:
        if before:
            at, pk = _read_mark(before)
            is_older = Q(created_at__lt=at) | Q(created_at=at, pk__lt=pk)
            lists = [rows.filter(created_at__lte=at).filter(is_older) for rows in lists]
        found = _first_of(user, lists, PAGE_SIZE + 1)
        more_newer, more_older = bool(before), len(found) > PAGE_SIZE
        found = found[:PAGE_SIZE]
    return StudyPage(
        cards=cards_for(user, found),
        newer=_mark(found[0]) if found and more_newer else "",
        older=_mark(found[-1]) if found and more_older else "",
    )


def _mark(study: Study) -> str:
    """A study's place in the order: microseconds since 1970 and its key."""
    since = study.created_at - datetime(1970, 1, 1, tzinfo=UTC)
    return f"{since // timedelta(microseconds=1)}-{study.pk.hex}"


def _read_mark(mark: str) -> tuple[datetime, UUID]:
    try:
        micros, _dash, key = mark.partition("-")
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros))
        return at, UUID(key)
    except (ValueError, OverflowError):
        raise InvalidInput(
            _("The address names a page that does not exist; start from the newest studies."),
            code="unknown_page",
        ) from None
