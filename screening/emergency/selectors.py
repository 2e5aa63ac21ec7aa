"""Reading emergency accesses: one's own that hold, and those to be reviewed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.http import Http404

from screening.accounts.models import Membership, Site, User
from screening.accounts.policies import Permission, memberships_with, roles_with, sites_where
from screening.emergency.models import EmergencyAccess, EmergencyReview
from screening.patients.models import Patient
from screening.studies.models import Study

PAGE_SIZE = 100


def open_accesses(user: User) -> list[EmergencyAccess]:
    """What ``user`` has opened and may still read; the longest-lasting of a record last.

    The one look of every request; a record is not even named here.
    """
    return list(EmergencyAccess.objects.filter(user=user).open().order_by("expires_at"))


def access_to(
    opened: Mapping[UUID, EmergencyAccess], named: Mapping[str, Any]
) -> EmergencyAccess | None:
    """The access by which a page is read, from what the page's address names."""
    if "patient_id" in named:
        return opened.get(named["patient_id"])
    if "study_id" in named:
        found = Study.objects.filter(pk=named["study_id"], patient__in=opened)
        patient_id = found.values_list("patient_id", flat=True).first()
        return opened.get(patient_id) if patient_id is not None else None
    return None


def get_access(user: User | AnonymousUser, access_id: UUID) -> EmergencyAccess:
    """An access that ``user`` may know of. Raises ``Http404``."""
    found = EmergencyAccess.objects.visible_to(user).filter(pk=access_id).first()
    if found is None:
        raise Http404
    return found


@dataclass(frozen=True)
class Reviewed:
    """One access as the admin of one or both of its sites sees it.

    ``patient`` is there for the record's own site only. ``missing`` are the admin's sites that
    have not said anything yet.
    """

    access: EmergencyAccess
    patient: Patient | None
    reviews: list[EmergencyReview]
    missing: list[Site]


def accesses_to_review(user: User) -> list[Reviewed]:
    """The newest accesses to and from the person's sites, those that wait for a review first."""
    sites = {site.pk: site for site in sites_where(user, Permission.REVIEW_EMERGENCIES)}
    rows = list(
        EmergencyAccess.objects.to_review_by(user)
        .select_related("user", "site", "home_site", "ended_by")
        .prefetch_related("reviews__reviewed_by", "reviews__site")[:PAGE_SIZE]
    )
    patients = Patient.objects.visible_to(user).in_bulk([row.patient_id for row in rows])
    found = []
    for row in rows:
        reviews = [one for one in row.reviews.all() if one.site_id in sites]
        said = {one.site_id for one in reviews}
        concerned = [pk for pk in (row.site_id, row.home_site_id) if pk in sites]
        missing = [sites[pk] for pk in dict.fromkeys(concerned) if pk not in said]
        patient = patients.get(row.patient_id) if row.site_id in sites else None
        found.append(Reviewed(row, patient, reviews, missing))
    return sorted(found, key=lambda one: not one.missing)


def reviewers_of(site_ids: list[UUID]) -> dict[UUID, list[UUID]]:
    """The people who review emergencies, by site."""
    found: dict[UUID, list[UUID]] = {site_id: [] for site_id in site_ids}
    rows = Membership.objects.filter(
        site__in=site_ids,
        is_active=True,
        user__is_active=True,
        role__in=roles_with(Permission.REVIEW_EMERGENCIES),
    )
    for site_id, user_id in rows.values_list("site_id", "user_id"):
        found[site_id].append(user_id)
    return found


def may_break_glass(user: User | AnonymousUser) -> bool:
    return memberships_with(user, Permission.BREAK_GLASS).exists()
