"""How a new colleague comes in: by a link that works once, for a week."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.core import signing
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from screening.accounts.keys import digest, new_secret
from screening.accounts.mail import send_letter
from screening.accounts.models import Invitation, Membership, Role, Site, User
from screening.accounts.policies import Permission, require
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput, PortalError

INVITATION_LIFETIME = timedelta(days=7)
_LETTER = _lazy("""Hello,

{inviter} invites you to join {site} on ThoraScreen as {role}.

Open this link to choose your user name and password. It works once, until {until}:

{link}

If you did not expect this letter, please ignore it.
""")


class InvitationGone(PortalError):
    """The link is wrong, used, revoked or too old; one sentence for all four."""

    code = "invitation_gone"
    http_status = 410

    def __init__(self) -> None:
        super().__init__(
            _("This invitation does not work any more. Ask your administrator for a new one.")
        )


@dataclass(frozen=True)
class IssuedInvitation:
    """``link`` exists only here: the database keeps its hash."""

    invitation: Invitation
    link: str
    mailed: bool


def create_invitation(
    *, actor: User, site: Site, email: str, role: str, build_url: Callable[[str], str]
) -> IssuedInvitation:
    """Invite somebody to ``site``, and mail the link where a mail server is set up.

    ``build_url`` makes a full address of a path. Raises ``Conflict`` (``already_member``,
    ``already_invited``).
    """
    require(actor, Permission.MANAGE_USERS, site.pk)
    if role not in dict(Role.of_people()):
        raise InvalidInput(_("Choose one of the roles that are offered."), field="role")
    token = _signer().sign(new_secret())
    with transaction.atomic():
        Site.objects.select_for_update().get(pk=site.pk)
        _ensure_newcomer(site, email)
        invitation = Invitation.objects.create(
            site=site,
            email=email,
            role=role,
            token_sha256=digest(token),
            invited_by=actor,
            expires_at=timezone.now() + INVITATION_LIFETIME,
        )
        record("invitation.create", invitation, actor=actor, detail={"role": role})
    link = build_url(reverse("accounts:accept_invitation", args=(token,)))
    letter = _LETTER.format(
        inviter=actor,
        site=site,
        role=invitation.get_role_display(),
        until=date_format(invitation.expires_at, "DATE_FORMAT"),
        link=link,
    )
    subject = _("Your invitation to %(site)s") % {"site": site}
    mailed = send_letter(to=email, subject=subject, body=letter)
    return IssuedInvitation(invitation, link, mailed)


@transaction.atomic
def revoke_invitation(*, actor: User, invitation: Invitation) -> None:
    """Make the link useless. Raises ``Conflict`` when it was used already."""
    require(actor, Permission.MANAGE_USERS, invitation.site_id)
    current = Invitation.objects.select_for_update().get(pk=invitation.pk)
    if current.accepted_at is not None:
        raise Conflict(
            _("This invitation was accepted in the meantime. You can deactivate the user instead."),
            code="invitation_accepted",
        )
    if current.revoked_at is None:
        current.revoked_at = timezone.now()
        current.save(update_fields=("revoked_at", "updated_at"))
        record("invitation.revoke", current, actor=actor)


def find_invitation(token: str) -> Invitation:
    """The pending invitation behind a link. Raises ``InvitationGone``."""
    return _find(token, lock=False)


@transaction.atomic
def accept_invitation(
    *, token: str, username: str, first_name: str, last_name: str, password: str
) -> User:
    """Create the account that the invitation promises. Raises ``InvitationGone``.

    The password must have passed the validators. A taken user name raises ``InvalidInput``.
    """
    invitation = _find(token, lock=True)
    try:
        with transaction.atomic():
            user = User.objects.create_user(
                username=username.lower(),
                email=invitation.email,
                password=password,
                first_name=first_name,
                last_name=last_name,
            )
    except IntegrityError:
        raise InvalidInput(
            _("This user name is taken. Choose another one."),
            code="username_taken",
            field="username",
        ) from None
    _join(invitation, user)
    return user


@transaction.atomic
def join_site(*, token: str, user: User) -> Membership:
    """Accept an invitation with the account one has. Raises ``InvitationGone``, ``Conflict``."""
    return _join(_find(token, lock=True), user)


def _join(invitation: Invitation, user: User) -> Membership:
    if Membership.objects.filter(user=user, site=invitation.site_id).exists():
        raise Conflict(
            _(
                "You have an account at this site already. "
                "Ask your administrator if your role should change."
            ),
            code="already_member",
        )
    membership = Membership.objects.create(user=user, site=invitation.site, role=invitation.role)
    invitation.accepted_at = timezone.now()
    invitation.save(update_fields=("accepted_at", "updated_at"))
    record("invitation.accept", invitation, actor=user, detail={"membership": str(membership.pk)})
    return membership


def _find(token: str, *, lock: bool) -> Invitation:
    try:
        _signer().unsign(token)
    except signing.BadSignature:
        raise InvitationGone from None
    pending = Invitation.objects.pending().select_related("site")
    if lock:
        # Two people who open the same link at once: the second waits here, and finds it used.
        pending = pending.select_for_update(of=("self",))
    try:
        return pending.get(token_sha256=digest(token))
    except Invitation.DoesNotExist:
        raise InvitationGone from None


def _ensure_newcomer(site: Site, email: str) -> None:
    if Membership.objects.filter(site=site, user__email__iexact=email, is_active=True).exists():
        raise Conflict(
            _("Somebody with this e-mail address works at the site already."),
            code="already_member",
            field="email",
        )
    if Invitation.objects.pending().filter(site=site, email__iexact=email).exists():
        raise Conflict(
            _("This address has a pending invitation. Revoke it first, then invite again."),
            code="already_invited",
            field="email",
        )


def _signer() -> signing.Signer:
    # Not ":", which mail programs like to cut an address at.
    return signing.Signer(sep=".", salt="accounts.invitation")
