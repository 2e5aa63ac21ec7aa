"""Tokens by which programs use the API as a person."""

from __future__ import annotations

from datetime import timedelta

from django.core.management import call_command
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from screening.accounts.keys import digest, new_secret
from screening.accounts.models import ApiToken, User
from screening.audit.services import record

TOKEN_LIFETIME = timedelta(days=90)
_USE_RECORDED_EVERY = timedelta(minutes=1)


@transaction.atomic
def issue_token(*, user: User) -> str:
    """Make a token for ``user`` and return it: nobody can read it again later."""
    secret = new_secret()
    token = ApiToken.objects.create(
        user=user,
        token_sha256=digest(secret),
        expires_at=timezone.now() + TOKEN_LIFETIME,
    )
    record("token.issue", token, actor=user)
    return secret


@transaction.atomic
def revoke_token(*, token: ApiToken) -> None:
    """Make ``token`` useless at once."""
    record("token.revoke", token, actor=token.user)
    token.delete()


def find_token(secret: str) -> ApiToken | None:
    """The token behind ``secret`` unless it has expired; notes that it was used."""
    now = timezone.now()
    token = (
        ApiToken.objects.select_related("user")
        .filter(Q(expires_at=None) | Q(expires_at__gt=now), token_sha256=digest(secret))
        .first()
    )
    if token is not None and (
        token.last_used_at is None or now - token.last_used_at > _USE_RECORDED_EVERY
    ):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def clear_expired() -> None:
    """Remove sessions and tokens that nobody can use any more."""
    call_command("clearsessions")
    ApiToken.objects.filter(expires_at__lte=timezone.now()).delete()
