"""Reading about people: who works here, who is invited."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.http import Http404

from screening.accounts.models import Invitation, Membership, Site, User


def members_of(user: User | AnonymousUser, site: Site) -> QuerySet[Membership]:
    """Everyone who works or worked at ``site``, the active ones first."""
    return (
        Membership.objects.visible_to(user)
        .filter(site=site)
        .select_related("user")
        .order_by("-is_active", "user__username")
    )


def pending_invitations(user: User | AnonymousUser, site: Site) -> QuerySet[Invitation]:
    """Invitations that can still be accepted, newest first."""
    return (
        Invitation.objects.visible_to(user).pending().filter(site=site).select_related("invited_by")
    )


def get_membership(user: User | AnonymousUser, membership_id: UUID) -> Membership:
    """A membership at one of the sites where ``user`` works. Raises ``Http404``."""
    found = Membership.objects.visible_to(user).select_related("user", "site")
    try:
        return found.get(pk=membership_id)
    except Membership.DoesNotExist:
        raise Http404 from None


def get_invitation(user: User | AnonymousUser, invitation_id: UUID) -> Invitation:
    """An invitation to one of the sites where ``user`` works. Raises ``Http404``."""
    try:
        return Invitation.objects.visible_to(user).get(pk=invitation_id)
    except Invitation.DoesNotExist:
        raise Http404 from None
