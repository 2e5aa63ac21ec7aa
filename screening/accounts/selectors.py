"""Reading about people: who works here, who is invited, which tokens they have."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.http import Http404
from django.utils import timezone

from screening.accounts.models import (
    ApiToken,
    Invitation,
    Membership,
    ServiceAccount,
    Session,
    Site,
    User,
)
from screening.accounts.second_factors import KINDS


def members_of(user: User | AnonymousUser, site: Site) -> QuerySet[Membership]:
    """Everyone who works or worked at ``site``, the active ones first.

    ``has_second_factor`` says whether the person has one.
    """
    factors = Authenticator.objects.filter(user=OuterRef("user"), type__in=KINDS)
    return (
        Membership.objects.visible_to(user)
        .of_people()
        .filter(site=site)
        .select_related("user")
        .annotate(has_second_factor=Exists(factors))
        .order_by("-is_active", "user__username")
    )


def pending_invitations(user: User | AnonymousUser, site: Site) -> QuerySet[Invitation]:
    """Invitations that can still be accepted, newest first."""
    return (
        Invitation.objects.visible_to(user).pending().filter(site=site).select_related("invited_by")
    )


def get_membership(user: User | AnonymousUser, membership_id: UUID) -> Membership:
    """A person's membership at one of the sites where ``user`` works. Raises ``Http404``."""
    found = Membership.objects.visible_to(user).of_people().select_related("user", "site")
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


def tokens_of(user: User) -> QuerySet[ApiToken]:
    """The person's own living tokens, newest first."""
    return ApiToken.objects.visible_to(user).living().filter(user=user)


def tokens_at(user: User | AnonymousUser, site: Site) -> QuerySet[ApiToken]:
    """The living tokens of whoever works at ``site``, people and devices, by name."""
    here = Membership.objects.visible_to(user).filter(site=site, is_active=True)
    return (
        ApiToken.objects.visible_to(user)
        .living()
        .filter(user__in=here.values("user_id"))
        .select_related("user", "made_by")
        .order_by("user__username", "-created_at")
    )


def get_own_token(user: User, token_id: UUID) -> ApiToken:
    """One of the person's own tokens. Raises ``Http404``."""
    return _token(ApiToken.objects.visible_to(user).filter(user=user), token_id)


def get_token(user: User | AnonymousUser, token_id: UUID) -> ApiToken:
    """A token of somebody at one of the sites where ``user`` works. Raises ``Http404``."""
    return _token(ApiToken.objects.visible_to(user), token_id)


def _token(tokens: QuerySet[ApiToken], token_id: UUID) -> ApiToken:
    try:
        return tokens.select_related("user").get(pk=token_id)
    except ApiToken.DoesNotExist:
        raise Http404 from None


def devices_at(user: User | AnonymousUser, site: Site) -> QuerySet[ServiceAccount]:
    """The devices of ``site`` by name; ``is_active`` and ``living_tokens`` (a number) are added."""
    here = Membership.objects.visible_to(user).filter(user=OuterRef("user"), site=site)
    living = Count("user__api_tokens", filter=Q(user__api_tokens__expires_at__gt=timezone.now()))
    last = Max("user__api_tokens__last_used_at")
    return (
        ServiceAccount.objects.visible_to(user)
        .filter(site=site)
        .select_related("owner")
        .annotate(
            is_active=Exists(here.filter(is_active=True)), living_tokens=living, last_used_at=last
        )
    )


def get_device(user: User | AnonymousUser, device_id: UUID) -> ServiceAccount:
    """A device of one of the sites where ``user`` works. Raises ``Http404``."""
    try:
        return ServiceAccount.objects.visible_to(user).select_related("user").get(pk=device_id)
    except ServiceAccount.DoesNotExist:
        raise Http404 from None


def sessions_of(user: User) -> QuerySet[Session]:
    """The person's living sessions, the one used last first."""
    now = timezone.now()
    oldest = now - timedelta(seconds=settings.SESSION_HARD_AGE_S)
    return Session.objects.visible_to(user).filter(
        expire_date__gt=now, started_at__gt=oldest, handle__isnull=False
    )


def get_session(user: User, handle: UUID) -> Session:
    """One of the person's own sessions. Raises ``Http404``."""
    found = Session.objects.visible_to(user).filter(handle=handle).first()
    if found is None:
        raise Http404
    return found
