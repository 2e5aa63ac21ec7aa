"""Changing one's password, and the way back in for those who forgot it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from screening.accounts.mail import mail_is_on, send_letter
from screening.accounts.models import ApiToken, Membership, User
from screening.accounts.policies import Permission, require, sites_where
from screening.accounts.services import limits
from screening.accounts.services.sessions import end_sessions
from screening.audit.services import record
from screening.core.errors import Conflict

_LETTER = _lazy("""Hello {user},

{admin} has started a password reset for your ThoraScreen account.

Open this link to choose a new password. It works once, for 24 hours:

{link}

If you did not ask for this, please tell your administrator.
""")


@dataclass(frozen=True)
class IssuedReset:
    """``link`` exists only here and in the letter."""

    user: User
    link: str
    mailed: bool


@transaction.atomic
def change_password(*, user: User, new_password: str, keep: str | None = None) -> None:
    """Set one's own new password. Other sessions end, API tokens are revoked.

    The caller has checked the old password and the validators, and keeps the session at hand
    alive (``update_session_auth_hash``), whose handle is ``keep``.
    """
    _set_password(user, new_password, keep=keep)
    record("user.change_password", user, actor=user)


def start_password_reset(
    *, actor: User, membership: Membership, build_url: Callable[[str], str]
) -> IssuedReset:
    """Make a link by which a member chooses a new password; mail it where that is possible.

    Whoever holds the link can sign in as that person. So where it must be shown to the admin,
    the person may not work at a site that the admin does not manage (``Conflict``,
    ``works_elsewhere``). Nobody is sent letter after letter (``TooManyAttempts``).
    """
    require(actor, Permission.MANAGE_USERS, membership.site_id)
    user = membership.user
    if not membership.is_active:
        raise Conflict(_("This user is not active. Reactivate the user first."), code="not_active")
    elsewhere = Membership.objects.filter(user=user, is_active=True).exclude(
        site__in=sites_where(actor, Permission.MANAGE_USERS)
    )
    may_show = not elsewhere.exists()
    if not may_show and not (mail_is_on() and user.email):
        raise _works_elsewhere()
    limits.count_attempt((limits.RESET, str(user.pk)))
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(user)
    link = build_url(reverse("accounts:password_reset_confirm", args=(uid, token)))
    body = _LETTER.format(user=user, admin=actor, link=link)
    mailed = send_letter(to=user.email, subject=_("Choose a new password"), body=body)
    if not mailed and not may_show:
        raise _works_elsewhere()
    record("user.start_reset", membership, actor=actor, detail={"mailed": mailed})
    return IssuedReset(user, link, mailed)


@transaction.atomic
def finish_password_reset(*, user: User, new_password: str) -> None:
    """Set the password chosen behind a reset link, which dies with the old password."""
    _set_password(user, new_password)
    record("user.finish_reset", user, actor=user)


def _set_password(user: User, new_password: str, *, keep: str | None = None) -> None:
    user.set_password(new_password)
    user.save(update_fields=("password", "updated_at"))
    end_sessions(user=user, keep=keep)
    # Whoever knew the old password may have made tokens with it.
    ApiToken.objects.filter(user=user).delete()


def _works_elsewhere() -> Conflict:
    return Conflict(
        _(
            "This person also works at a site you do not manage, so the link may only go to the "
            "person by e-mail, and no mail could be sent. Ask the other site's administrator."
        ),
        code="works_elsewhere",
    )
