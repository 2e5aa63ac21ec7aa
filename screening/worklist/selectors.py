"""What the worklist's pages and the API read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Prefetch, Q
from django.http import Http404
from django.utils import timezone

from screening.accounts.models import Membership, User
from screening.accounts.policies import Permission, roles_with, sites_where
from screening.patients.selectors import search_patients
from screening.reading.blind_first import hidden_since
from screening.reading.selectors import answers_hidden
from screening.studies.models import OPEN_STATUSES, Image, Status
from screening.worklist.flags import flag_known_to
from screening.worklist.models import Entry, Order, Rule
from screening.worklist.ordering import EntryRows, Page, Place, Run, merged, read_page
from screening.worklist.rules import rule_of

PAGE_SIZE = 50
COUNT_TO = 100
PATIENTS_SEARCHED = 200

STUCK = (Status.FAILED, Status.REFUSED)


@dataclass(frozen=True)
class Wanted:
    """What somebody wants to see of the list; empty means everything that is unread.

    ``claim`` is one of ``mine``, ``free``, ``taken`` and ``assigned``; ``since`` and ``until`` are
    days of arrival, both included.
    """

    status: str = ""
    flag: str = ""
    claim: str = ""
    since: date | None = None
    until: date | None = None
    text: str = ""


@dataclass(frozen=True)
class SiteList:
    """The list of one site as one person may see it."""

    site_id: UUID
    rule: Rule
    blind_since: datetime | None
    entries: EntryRows

    @property
    def flags_first(self) -> bool:
        """Whether flags move studies forward here: only where nobody reads blind."""
        return self.rule.order == Order.FLAGS_FIRST and self.blind_since is None

    def runs(self, narrowed: EntryRows) -> Iterator[Run]:
        """The runs of which the list is merged; see ``worklist.ordering``."""
        if not self.flags_first:
            yield Run(narrowed)
            return
        yield Run(narrowed.filter(flagged=True), ahead=self.rule.cap)
        yield Run(narrowed.filter(flagged=False))


@dataclass(frozen=True)
class Worklist:
    """The lists of a person's sites, narrowed to what is wanted."""

    lists: list[SiteList]
    runs: list[Run]
    only_first_patients: bool = False

    def page(self, *, after: str = "", before: str = "", size: int = PAGE_SIZE) -> Page:
        return read_page(self.runs, after=after, before=before, size=size)

    def narrowed(self, condition: Q) -> Worklist:
        """The same lists, of which only what meets ``condition`` is wanted."""
        runs = [replace(run, entries=run.entries.filter(condition)) for run in self.runs]
        return replace(self, runs=runs)

    def first_after(self, place: Place | None, limit: int) -> list[Entry]:
        return [entry for _place, entry in merged(self.runs, limit, beyond=place)]

    def place_of(self, entry: Entry) -> Place:
        """Where an entry stands, whether or not it is among what is wanted."""
        for one in self.lists:
            if one.site_id == entry.site_id and one.flags_first and entry.flagged:
                return Run(one.entries, ahead=one.rule.cap).place(entry)
        return Run(Entry.objects.none()).place(entry)

    def count(self) -> int:
        """How many there are, counted no further than ``COUNT_TO``."""
        found = 0
        for run in self.runs:
            found += run.entries.order_by()[: COUNT_TO - found].count()
            if found >= COUNT_TO:
                break
        return found

    @property
    def oldest(self) -> Entry | None:
        """The unread study that has waited longest, whatever is wanted of the list."""
        heads = [Run(one.entries).head(1, beyond=None, forward=True) for one in self.lists]
        return min((rows[0] for rows in heads if rows), key=lambda e: e.arrived_at, default=None)


def worklist_of(user: User | AnonymousUser, wanted: Wanted | None = None) -> Worklist:
    """The unread studies of the person's sites, each site by its own rule."""
    wanted = wanted or Wanted()
    sites = list(sites_where(user, Permission.VIEW_STUDIES).values_list("pk", flat=True))
    blind = hidden_since(sites)
    # The site stands as a constant beside the permission, so that the index's order can be used.
    lists = [
        SiteList(
            site_id,
            rule_of(site_id),
            blind.get(site_id),
            Entry.objects.visible_to(user).unread().filter(site_id=site_id),
        )
        for site_id in sites
    ]
    condition, cut = _condition(user, wanted)
    runs = []
    for one in lists:
        narrowed = one.entries.filter(condition)
        if wanted.flag:
            known = flag_known_to(user, one.site_id, blind)
            narrowed = narrowed.filter(known, flagged=wanted.flag == "yes")
        runs += list(one.runs(narrowed))
    return Worklist(lists, runs, only_first_patients=cut)


def _condition(user: User | AnonymousUser, wanted: Wanted) -> tuple[Q, bool]:
    """The filter as a condition, and whether the search meant more patients than are looked at."""
    found, cut = Q(), False
    if wanted.status == "stuck":
        found &= Q(status__in=STUCK)
    elif wanted.status == "open":
        found &= Q(status__in=OPEN_STATUSES)
    elif wanted.status:
        found &= Q(status=wanted.status)
    now = timezone.now()
    if wanted.claim == "mine":
        found &= Q(claimed_by=user.pk, claimed_until__gt=now)
    elif wanted.claim == "taken":
        found &= Q(claimed_by__isnull=False, claimed_until__gt=now) & ~Q(claimed_by=user.pk)
    elif wanted.claim == "free":
        found &= Q(claimed_by__isnull=True) | Q(claimed_until__lte=now)
    elif wanted.claim == "assigned":
        found &= Q(assigned_to=user.pk)
    if wanted.since:
        found &= Q(arrived_at__gte=_midnight(wanted.since))
    if wanted.until:
        found &= Q(arrived_at__lt=_midnight(wanted.until + timedelta(days=1)))
    if wanted.text.strip():
        patients = search_patients(user, text=wanted.text, size=PATIENTS_SEARCHED)
        found &= Q(patient__in=[patient.pk for patient in patients.patients])
        cut = bool(patients.next)
    return found, cut


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


@dataclass(frozen=True)
class Row:
    """One entry as a page shows it. ``flagged`` is None where the person may not know."""

    entry: Entry
    flagged: bool | None
    held_by: User | None
    is_mine: bool
    overdue: bool
    waited: timedelta
    images: list[Image]

    @property
    def stuck_images(self) -> list[Image]:
        return [image for image in self.images if image.status == Status.FAILED]

    @property
    def state(self) -> str:
        """A short text that changes whenever something to be seen changes."""
        holder = self.held_by.pk.hex[:8] if self.held_by else ""
        assigned = self.entry.assigned_to_id.hex[:8] if self.entry.assigned_to_id else ""
        parts = (self.entry.pk.hex, self.entry.status, str(self.flagged), holder, assigned)
        return ".".join((*parts, str(len(self.images)), str(self.overdue)))


def rows_of(user: User | AnonymousUser, entries: list[Entry]) -> list[Row]:
    """Entries with all that a page shows of them, in a fixed number of queries."""
    keys = [entry.pk for entry in entries]
    full = (
        Entry.objects.visible_to(user)
        .select_related("study", "patient", "claimed_by", "assigned_to")
        .prefetch_related(
            Prefetch(
                "study__images",
                Image.objects.only("id", "study_id", "status", "created_at", "original_name"),
            )
        )
        .in_bulk(keys)
    )
    found = [full[key] for key in keys if key in full]
    hidden = answers_hidden(user, [entry.study for entry in found])
    rules = {site_id: rule_of(site_id) for site_id in {entry.site_id for entry in found}}
    return [_row(user, entry, hidden, rules[entry.site_id]) for entry in found]


def _row(user: User | AnonymousUser, entry: Entry, hidden: frozenset[UUID], rule: Rule) -> Row:
    now = timezone.now()
    held = entry.claimed_by if entry.claimed_until and entry.claimed_until > now else None
    return Row(
        entry=entry,
        flagged=None if entry.pk in hidden else entry.flagged,
        held_by=held,
        is_mine=held is not None and held.pk == user.pk,
        # Whether it is flagged does not come in: at a site that reads blind that would tell.
        overdue=rule.order == Order.FLAGS_FIRST and now - entry.arrived_at > rule.cap,
        waited=max(now - entry.arrived_at, timedelta(0)),
        images=list(entry.study.images.all()),
    )


def get_entry(user: User | AnonymousUser, study_id: UUID) -> Entry:
    """The entry of a study, or ``Http404`` where ``user`` may not know of it."""
    entry = Entry.objects.visible_to(user).filter(pk=study_id).first()
    if entry is None:
        raise Http404
    return entry


def row_of(user: User | AnonymousUser, study_id: UUID) -> Row:
    """One study's row, read anew; ``Http404`` as above."""
    rows = rows_of(user, [get_entry(user, study_id)])
    return rows[0]


def colleagues_at(site_id: UUID, *, but: User | None = None) -> list[User]:
    """Those who may read at a site now, by name."""
    members = Membership.objects.filter(
        site=site_id,
        is_active=True,
        user__is_active=True,
        role__in=roles_with(Permission.CLAIM_STUDIES),
    ).select_related("user")
    people = [member.user for member in members if but is None or member.user_id != but.pk]
    return sorted(people, key=lambda person: str(person).casefold())
