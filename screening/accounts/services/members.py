"""What an admin does to the members of the own site."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from screening.accounts.models import ApiToken, Membership, Role, Site, User
from screening.accounts.policies import (
    Permission,
    has_active_membership,
    require,
    roles_with,
)
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput


@transaction.atomic
def set_role(*, actor: User, membership: Membership, role: str) -> Membership:
    """Give a member another role. Raises ``Conflict`` (``last_admin``)."""
    if role not in dict(Role.of_people()):
        raise InvalidInput(_("Choose one of the roles that are offered."), field="role")
    current = _lock(actor, membership)
    if current.role == role:
        return current
    if role not in roles_with(Permission.MANAGE_USERS):
        _ensure_other_admin(current)
    before, current.role = current.role, role
    current.save(update_fields=("role", "updated_at"))
    record("user.set_role", current, actor=actor, detail={"from": before, "to": role})
    return current


@transaction.atomic
def deactivate_member(*, actor: User, membership: Membership) -> Membership:
    """End a membership; the person's very next request is refused.

    API tokens go too, unless the person works at another site: a later reactivation must not
    bring forgotten ones back. Raises ``Conflict`` (``last_admin``).
    """
    current = _lock(actor, membership)
    if not current.is_active:
        return current
    _ensure_other_admin(current)
    current.is_active = False
    current.follows_groups = False  # No group brings back whom an admin has ended.
    current.save(update_fields=("is_active", "follows_groups", "updated_at"))
    if not has_active_membership(current.user):
        ApiToken.objects.filter(user=current.user).delete()
    record("user.deactivate", current, actor=actor)
    return current


@transaction.atomic
def reactivate_member(*, actor: User, membership: Membership) -> Membership:
    """Let a former member in again, in the role held before."""
    current = _lock(actor, membership)
    if current.is_active:
        return current
    current.is_active = True
    current.save(update_fields=("is_active", "updated_at"))
    record("user.reactivate", current, actor=actor)
    return current


def _lock(actor: User, membership: Membership) -> Membership:
    """The membership as it is now, while nobody else can change who works at its site.

    All such changes queue up at the site's row, so two admins who remove each other at the
    same moment cannot both succeed. The right is asked for once the row is held.
    """
    Site.objects.select_for_update().get(pk=membership.site_id)
    require(actor, Permission.MANAGE_USERS, membership.site_id)
    return Membership.objects.select_related("user").get(pk=membership.pk)


def _ensure_other_admin(leaving: Membership) -> None:
    managing = roles_with(Permission.MANAGE_USERS)
    if not leaving.is_active or leaving.role not in managing:
        return
    others = Membership.objects.filter(
        site_id=leaving.site_id, role__in=managing, is_active=True, user__is_active=True
    ).exclude(pk=leaving.pk)
    if not others.exists():
        raise Conflict(
            _(
                "This is the last active administrator of the site. "
                "Make somebody else an administrator first."
            ),
            code="last_admin",
        )
