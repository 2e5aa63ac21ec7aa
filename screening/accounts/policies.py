"""The one table that says which role may do what, and the questions asked of it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from screening.accounts.models import Membership, Role, Site, User
from screening.core.errors import Forbidden

if TYPE_CHECKING:
    from uuid import UUID


class Permission(StrEnum):
    VIEW_PATIENTS = "patients.view"
    EDIT_PATIENTS = "patients.edit"
    VIEW_STUDIES = "studies.view"
    UPLOAD_STUDIES = "studies.upload"
    RETRY_JOBS = "jobs.retry"
    MANAGE_USERS = "users.manage"


_CLINICIAN = frozenset(
    {
        Permission.VIEW_PATIENTS,
        Permission.EDIT_PATIENTS,
        Permission.VIEW_STUDIES,
        Permission.UPLOAD_STUDIES,
        Permission.RETRY_JOBS,
    }
)
ROLE_PERMISSIONS: dict[str, frozenset[Permission]] = {
    Role.CLINICIAN: _CLINICIAN,
    Role.ADMIN: _CLINICIAN | {Permission.MANAGE_USERS},
}


def roles_with(permission: Permission) -> list[str]:
    return [role for role, granted in ROLE_PERMISSIONS.items() if permission in granted]


def memberships_with(user: User | AnonymousUser, permission: Permission) -> QuerySet[Membership]:
    """The person's active memberships whose role grants ``permission``."""
    if not user.is_authenticated or not user.is_active:
        return Membership.objects.none()
    return Membership.objects.filter(user=user, is_active=True, role__in=roles_with(permission))


def sites_where(user: User | AnonymousUser, permission: Permission) -> QuerySet[Site]:
    """The sites at which ``user`` holds ``permission``; the root of every ``visible_to``."""
    return Site.objects.filter(pk__in=memberships_with(user, permission).values("site_id"))


def may(user: User | AnonymousUser, permission: Permission, site_id: UUID) -> bool:
    return memberships_with(user, permission).filter(site_id=site_id).exists()


def require(user: User | AnonymousUser, permission: Permission, site_id: UUID) -> None:
    """Raise ``Forbidden`` unless ``user`` holds ``permission`` at the site.

    Ask only after the object was found through ``visible_to``: outsiders must get a 404.
    """
    if not may(user, permission, site_id):
        raise Forbidden("Your role at this site does not allow that.")


def home_site_id(user: User | AnonymousUser) -> UUID | None:
    """The site that a person belongs to (the oldest active membership's), ``None`` for nobody's."""
    if not user.is_authenticated or not user.is_active:
        return None
    active = Membership.objects.filter(user=user, is_active=True)
    return active.order_by("created_at").values_list("site_id", flat=True).first()


def has_active_membership(user: User | AnonymousUser) -> bool:
    """Whether the person belongs anywhere at all; if not, every request is refused."""
    return home_site_id(user) is not None


def home_site(user: User | AnonymousUser, permission: Permission) -> Site:
    """The site at which new patients of this person are registered.

    The oldest membership that grants ``permission``. Raises ``Forbidden`` if there is none.
    """
    membership = (
        memberships_with(user, permission).select_related("site").order_by("created_at").first()
    )
    if membership is None:
        raise Forbidden("Your role at this site does not allow that.")
    return membership.site
