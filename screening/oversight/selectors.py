"""Finding events. Every search ends in a few ranges of indexes, read from their newer end.

A person sees the events of the sites whose audit that person may see, and of the events that
belong to no site those that are about people of these sites.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from screening.accounts.models import Membership, User
from screening.accounts.policies import Permission, sites_where
from screening.audit.models import NO_SITE, Event, Link, Outcome
from screening.patients.models import Patient

PAGE_SIZE = 50
EXPORTED_AT_ONCE = 2000
_LEEWAY = 200  # Events that began at about the same moment may have their numbers the other way.

Events = QuerySet[Event]


@dataclass(frozen=True)
class Search:
    """What somebody looks for; ``None`` and empty mean everything.

    ``actors`` and ``patients`` hold those that were found for what was typed; an empty list is
    that nobody was found.
    """

    actors: list[UUID] | None = None
    patients: list[UUID] | None = None
    object_id: str = ""
    request_id: str = ""
    actions: tuple[str, ...] = ()
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Page:
    """``older`` and ``newer`` are the numbers to go on from, ``None`` where nothing follows."""

    events: list[Event]
    newer: int | None
    older: int | None


def audited_sites(user: User | AnonymousUser) -> list[UUID]:
    """The sites whose audit ``user`` may see."""
    return list(sites_where(user, Permission.VIEW_AUDIT).values_list("pk", flat=True))


def visible_to(user: User | AnonymousUser) -> Events:
    """The events that ``user`` may see."""
    sites = audited_sites(user)
    return Event.objects.filter(Q(site_id__in=sites) | _about_people_of(sites))


def _about_people_of(sites: list[UUID]) -> Q:
    people = list(Membership.objects.filter(site__in=sites).values_list("user_id", flat=True))
    theirs = Q(actor_id__in=people) | Q(object_type="user", object_id__in=map(str, people))
    return Q(site_id__isnull=True) & theirs


def find(
    user: User | AnonymousUser,
    search: Search,
    *,
    before: int | None = None,
    after: int | None = None,
    size: int = PAGE_SIZE,
) -> Page:
    """One page, newest first: the newest, or what came before or after the number of an event."""
    lists = _lists(user, search)
    forward = after is not None
    if forward:
        found = _merged([rows.filter(pk__gt=after) for rows in lists], size + 1, newest=False)
    else:
        bounded = [rows.filter(pk__lt=before) for rows in lists] if before else lists
        found = _merged(bounded, size + 1, newest=True)
    more = len(found) > size
    found = found[:size]
    if forward:
        found.reverse()
    has_newer = more if forward else before is not None
    has_older = True if forward else more
    return Page(
        found,
        found[0].pk if found and has_newer else None,
        found[-1].pk if found and has_older else None,
    )


def all_of(user: User | AnonymousUser, search: Search) -> Iterator[tuple[Event, Link | None]]:
    """Everything found, newest first, each with its place in the chain; in constant memory."""
    last: int | None = None
    while True:
        page = find(user, search, before=last, size=EXPORTED_AT_ONCE)
        links = Link.objects.in_bulk([event.pk for event in page.events])
        for event in page.events:
            yield event, links.get(event.pk)
        if page.older is None:
            return
        last = page.older


def accesses_of(patient: Patient, *, before: int | None = None) -> Page:
    """Who did or looked at what about ``patient``, newest first; found by ``visible_to``."""
    rows = Event.objects.filter(patient_id=patient.pk, site_id=patient.site_id)
    if before:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: PAGE_SIZE + 1])
    more = len(found) > PAGE_SIZE
    found = found[:PAGE_SIZE]
    return Page(found, None, found[-1].pk if more else None)


def _lists(user: User | AnonymousUser, search: Search) -> list[Events]:
    """The ranges in which the events are that ``search`` means."""
    if search.actors == [] or search.patients == []:
        return []
    sites = audited_sites(user)
    bounds = _bounds(search)
    if bounds is None:
        return []
    rest = _conditions(search) & bounds
    if search.actors or search.patients or search.object_id or search.request_id:
        return [rows.filter(rest) for rows in _narrow(visible_to(user), search)]
    siteless = Event.objects.filter(_about_people_of(sites)).filter(rest)
    if search.outcome and search.outcome != Outcome.OK:
        wide = [Event.objects.filter(site_id=site).exclude(outcome="ok") for site in sites]
    elif search.actions:
        wide = [
            Event.objects.filter(site_id=site, action=action)
            for site in sites
            for action in search.actions
        ]
    else:
        wide = [Event.objects.filter(site_id=site) for site in sites]
    return [*(rows.filter(rest) for rows in wide), siteless]


def _narrow(visible: Events, search: Search) -> list[Events]:
    """The index that fits: few events have the same object, patient, person or request."""
    if search.object_id:
        kinds = {model._meta.model_name or "" for model in apps.get_models()} | {""}
        return [visible.filter(object_type__in=kinds, object_id=search.object_id)]
    if search.request_id:
        return [visible.filter(request_id=search.request_id)]
    if search.patients:
        return [visible.filter(patient_id=patient) for patient in search.patients]
    return [visible.filter(actor_id=actor) for actor in search.actors or ()]


def _conditions(search: Search) -> Q:
    wanted = Q()
    if search.actors:
        wanted &= Q(actor_id__in=search.actors)
    if search.patients:
        wanted &= Q(patient_id__in=search.patients)
    if search.request_id:
        wanted &= Q(request_id=search.request_id)
    if search.actions:
        wanted &= Q(action__in=search.actions)
    if search.outcome == "refused":
        wanted &= ~Q(outcome=Outcome.OK)
    elif search.outcome:
        wanted &= Q(outcome=search.outcome)
    if search.since:
        wanted &= Q(at__gte=search.since)
    if search.until:
        wanted &= Q(at__lt=search.until)
    return wanted


def _bounds(search: Search) -> Q | None:
    """The span of days as a span of numbers, by which every index is ordered; None if empty."""
    bounds = Q()
    if search.since:
        rows = Event.objects.filter(at__gte=search.since).order_by("at")
        first = list(rows.values_list("pk", flat=True)[:_LEEWAY])
        if not first:
            return None
        bounds &= Q(pk__gte=min(first))
    if search.until:
        rows = Event.objects.filter(at__lt=search.until).order_by("-at")
        last = list(rows.values_list("pk", flat=True)[:_LEEWAY])
        if not last:
            return None
        bounds &= Q(pk__lte=max(last))
    return bounds


def _merged(lists: list[Events], limit: int, *, newest: bool) -> list[Event]:
    order = "-pk" if newest else "pk"
    runs = [list(rows.order_by(order)[:limit]) for rows in lists]
    merged: list[Event] = []
    for event in heapq.merge(*runs, key=lambda event: event.pk, reverse=newest):
        if not merged or merged[-1].pk != event.pk:
            merged.append(event)
        if len(merged) == limit:
            break
    return merged


def people_named(user: User | AnonymousUser, text: str) -> list[UUID]:
    """People of the audited sites with this user name, or whose name begins so."""
    text = text.strip()
    members = User.objects.filter(memberships__site__in=audited_sites(user))
    named = members.filter(
        Q(username__iexact=text) | Q(last_name__istartswith=text) | Q(first_name__istartswith=text)
    )
    return list(named.distinct().values_list("pk", flat=True)[:20])


def chains_of(user: User | AnonymousUser) -> list[UUID]:
    """The chains whose state concerns ``user``: those of the sites, and nobody's."""
    return [*audited_sites(user), NO_SITE]
