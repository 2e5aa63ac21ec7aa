"""The one table that says which role may do what, and the questions asked of it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from screening.accounts.models import Membership, Role, Site, User
from screening.core.errors import Forbidden
from screening.core.row_security import current_reach

if TYPE_CHECKING:
    from uuid import UUID


class Permission(StrEnum):
    VIEW_PATIENTS = "patients.view"
    EDIT_PATIENTS = "patients.edit"
    VIEW_STUDIES = "studies.view"
    UPLOAD_STUDIES = "studies.upload"
    TRACK_UPLOADS = "uploads.track"
    RETRY_JOBS = "jobs.retry"
    RECORD_DIAGNOSES = "diagnoses.record"
    IMPORT_DIAGNOSES = "diagnoses.import"
    SET_OPERATING_POINTS = "operating_points.set"
    MANAGE_MODELS = "models.manage"
    CLAIM_STUDIES = "worklist.claim"
    RULE_WORKLIST = "worklist.rule"
    WRITE_READINGS = "readings.write"
    COMPARE_READERS = "readings.compare"
    SET_READING_POLICY = "reading_policy.set"
    ISSUE_REPORTS = "reports.issue"
    CREATE_EXPORTS = "exports.create"
    EXPORT_DEIDENTIFIED = "exports.deidentified"
    REIDENTIFY = "exports.reidentify"
    HOLD_PATIENTS = "patients.hold"
    ERASE_PATIENTS = "patients.erase"
    SET_RETENTION = "retention.set"
    MANAGE_USERS = "users.manage"
    MANAGE_SITE = "site.manage"
    VIEW_INSIGHT = "insight.view"
    BREAK_GLASS = "records.break_glass"
    REVIEW_EMERGENCIES = "emergencies.review"
    VIEW_AUDIT = "audit.view"
    VIEW_ACCESSES = "accesses.view"


_CLINICIAN = frozenset(
    {
        Permission.VIEW_PATIENTS,
        Permission.EDIT_PATIENTS,
        Permission.VIEW_STUDIES,
        Permission.UPLOAD_STUDIES,
        Permission.TRACK_UPLOADS,
        Permission.RETRY_JOBS,
        Permission.RECORD_DIAGNOSES,
        Permission.WRITE_READINGS,
        Permission.CLAIM_STUDIES,
        Permission.ISSUE_REPORTS,
        Permission.CREATE_EXPORTS,
        Permission.EXPORT_DEIDENTIFIED,
        Permission.BREAK_GLASS,
        Permission.VIEW_ACCESSES,
    }
)
ROLE_PERMISSIONS: dict[str, frozenset[Permission]] = {
    Role.CLINICIAN: _CLINICIAN,
    Role.ADMIN: _CLINICIAN
    | {
        Permission.MANAGE_USERS,
        Permission.MANAGE_SITE,
        Permission.VIEW_INSIGHT,
        Permission.VIEW_AUDIT,
        Permission.RULE_WORKLIST,
        Permission.IMPORT_DIAGNOSES,
        Permission.SET_OPERATING_POINTS,
        Permission.MANAGE_MODELS,
        Permission.COMPARE_READERS,
        Permission.SET_READING_POLICY,
        Permission.REIDENTIFY,
        Permission.HOLD_PATIENTS,
        Permission.ERASE_PATIENTS,
        Permission.SET_RETENTION,
        Permission.REVIEW_EMERGENCIES,
    },
    # Sends X-rays and learns what became of those; sees no patient and no answer.
    Role.DEVICE: frozenset({Permission.UPLOAD_STUDIES, Permission.TRACK_UPLOADS}),
}


def roles_with(permission: Permission) -> list[str]:
    return [role for role, granted in ROLE_PERMISSIONS.items() if permission in granted]


def memberships_with(user: User | AnonymousUser, permission: Permission) -> QuerySet[Membership]:
    """The person's active memberships whose role grants ``permission``."""
    if not user.is_authenticated or not user.is_active:
        return Membership.objects.none()
    if user.token_reach is not None and permission not in user.token_reach:
        return Membership.objects.none()  # The token in use is for something else.
    return Membership.objects.filter(user=user, is_active=True, role__in=roles_with(permission))


def sites_where(user: User | AnonymousUser, permission: Permission) -> QuerySet[Site]:
    """The sites at which ``user`` holds ``permission``; the root of every ``visible_to``.

    The memberships are read at once and stand in the query as constants. As a query within the
    query they kept PostgreSQL from reading an index that begins with the site in its order: it
    sorted a million studies to show the newest fifty.
    """
    ids = list(memberships_with(user, permission).values_list("site_id", flat=True))
    return Site.objects.filter(pk__in=ids)


def within_reach(
    user: User | AnonymousUser, permission: Permission, *, site: str, patient: str
) -> Q:
    """The rows that ``user`` may see by ``permission``, as a condition: the one place that decides.

    ``site`` and ``patient`` say where a row has them. Rows of the person's own sites, and those of
    a patient whose record the person has opened in an emergency. The latter is known for the
    request at hand only (``core.row_security``), and gives nothing but reading: whatever is
    written asks ``require`` for the site, and is refused. Nothing is asked of the database for it,
    and without an open record the condition is the one on sites alone.
    """
    reached = Q(**{f"{site}__in": sites_where(user, permission)})
    opened = records_opened_by(user)
    return reached | Q(**{f"{patient}__in": opened}) if opened else reached


def records_opened_by(user: User | AnonymousUser) -> frozenset[UUID]:
    """The patients of other sites whose records ``user`` has open in this request."""
    reach = current_reach()
    if reach is None or not user.is_authenticated or reach.person != user.pk:
        return frozenset()
    return reach.patients


def may(user: User | AnonymousUser, permission: Permission, site_id: UUID) -> bool:
    return memberships_with(user, permission).filter(site_id=site_id).exists()


def require(user: User | AnonymousUser, permission: Permission, site_id: UUID) -> None:
    """Raise ``Forbidden`` unless ``user`` holds ``permission`` at the site.

    Ask only after the object was found through ``visible_to``: outsiders must get a 404.
    """
    if not may(user, permission, site_id):
        raise Forbidden(_("Your role at this site does not allow that."))


def member_site_ids(user: User | AnonymousUser) -> list[UUID]:
    """The sites at which a person works in whatever role, that of the oldest membership first."""
    if not user.is_authenticated or not user.is_active:
        return []
    active = Membership.objects.filter(user=user, is_active=True)
    return list(active.order_by("created_at").values_list("site_id", flat=True))


def home_site_id(user: User | AnonymousUser) -> UUID | None:
    """The site that a person belongs to (the oldest active membership's), ``None`` for nobody's."""
    if not user.is_authenticated or not user.is_active:
        return None
    active = Membership.objects.filter(user=user, is_active=True)
    return active.order_by("created_at").values_list("site_id", flat=True).first()


def has_active_membership(user: User | AnonymousUser) -> bool:
    """Whether the person belongs anywhere at all; if not, every request is refused."""
    return home_site_id(user) is not None


def is_device(user: User) -> bool:
    """Whether ``user`` stands for a device, which signs in nowhere."""
    return Membership.objects.filter(user=user, role=Role.DEVICE).exists()


def home_site(user: User | AnonymousUser, permission: Permission) -> Site:
    """The site at which new patients of this person are registered.

    The oldest membership that grants ``permission``. Raises ``Forbidden`` if there is none.
    """
    membership = (
        memberships_with(user, permission).select_related("site").order_by("created_at").first()
    )
    if membership is None:
        raise Forbidden(_("Your role at this site does not allow that."))
    return membership.site
