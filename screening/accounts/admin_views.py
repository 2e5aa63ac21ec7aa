"""What an admin does on the portal's pages: the people of the own site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from screening.accounts import selectors
from screening.accounts.access import requires
from screening.accounts.forms import InviteForm, RoleForm
from screening.accounts.models import Membership, Role, User
from screening.accounts.policies import Permission, home_site
from screening.accounts.reauthentication import require_recent_sign_in
from screening.accounts.services import invitations, members, passwords
from screening.accounts.services.limits import TooManyAttempts
from screening.core.errors import Conflict, PortalError

MANAGE = Permission.MANAGE_USERS


@requires(MANAGE)
@require_safe
def user_list(request: HttpRequest) -> HttpResponse:
    """Everyone who works or worked at the admin's site, and who is invited."""
    return _show_users(request)


@requires(MANAGE)
@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: HttpRequest) -> HttpResponse:
    """Invite a colleague. The link is shown on the answer to the POST and nowhere else."""
    actor = cast(User, request.user)
    site = home_site(actor, MANAGE)
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            issued = invitations.create_invitation(
                actor=actor,
                site=site,
                email=form.cleaned_data["email"],
                role=form.cleaned_data["role"],
                build_url=request.build_absolute_uri,
            )
        except PortalError as error:
            form.add_error(error.field, error.message)
        else:
            return render(request, "accounts/invitation_issued.html", {"issued": issued})
    return render(request, "accounts/invite.html", {"form": form, "site": site})


@requires(MANAGE, asked_later=True)
@require_POST
def revoke_invitation(request: HttpRequest, invitation_id: UUID) -> HttpResponse:
    """Make an invitation's link useless."""
    actor = cast(User, request.user)
    invitation = selectors.get_invitation(actor, invitation_id)
    try:
        invitations.revoke_invitation(actor=actor, invitation=invitation)
    except Conflict as error:
        return _show_users(request, problem=error)
    messages.success(
        request, _("The invitation for %(email)s is revoked.") % {"email": invitation.email}
    )
    return redirect("accounts:user_list")


@requires(MANAGE, asked_later=True)
@require_POST
@require_recent_sign_in
def set_role(request: HttpRequest, membership_id: UUID) -> HttpResponse:
    """Give a member another role."""
    form = RoleForm(request.POST)
    role = form.cleaned_data["role"] if form.is_valid() else ""

    def change(actor: User, membership: Membership) -> str:
        changed = members.set_role(actor=actor, membership=membership, role=role)
        named = {"person": changed.user, "role": changed.get_role_display()}
        return _("%(person)s is now: %(role)s.") % named

    return act_on_membership(request, membership_id, change)


@requires(MANAGE, asked_later=True)
@require_POST
@require_recent_sign_in
def deactivate(request: HttpRequest, membership_id: UUID) -> HttpResponse:
    """End a membership."""

    def end(actor: User, membership: Membership) -> str:
        changed = members.deactivate_member(actor=actor, membership=membership)
        return _("%(person)s can no longer sign in here.") % {"person": changed.user}

    return act_on_membership(request, membership_id, end)


@requires(MANAGE, asked_later=True)
@require_POST
@require_recent_sign_in
def reactivate(request: HttpRequest, membership_id: UUID) -> HttpResponse:
    """Let a former member in again."""

    def resume(actor: User, membership: Membership) -> str:
        changed = members.reactivate_member(actor=actor, membership=membership)
        return _("%(person)s can sign in again.") % {"person": changed.user}

    return act_on_membership(request, membership_id, resume)


@requires(MANAGE, asked_later=True)
@require_POST
@require_recent_sign_in
def reset_password(request: HttpRequest, membership_id: UUID) -> HttpResponse:
    """Start a password reset. Where no mail was sent, the link is shown here, once."""
    actor = cast(User, request.user)
    membership = selectors.get_membership(actor, membership_id)
    try:
        issued = passwords.start_password_reset(
            actor=actor, membership=membership, build_url=request.build_absolute_uri
        )
    except (Conflict, TooManyAttempts) as error:
        return _show_users(request, problem=error)
    return render(request, "accounts/password_reset_issued.html", {"issued": issued})


def act_on_membership(
    request: HttpRequest, membership_id: UUID, act: Callable[[User, Membership], str]
) -> HttpResponse:
    """Do ``act`` to a membership and say so on the list; or say there why it cannot be done."""
    actor = cast(User, request.user)
    membership = selectors.get_membership(actor, membership_id)
    try:
        done = act(actor, membership)
    except Conflict as error:
        return _show_users(request, problem=error)
    messages.success(request, done)
    return redirect("accounts:user_list")


def _show_users(request: HttpRequest, *, problem: PortalError | None = None) -> HttpResponse:
    actor = cast(User, request.user)
    site = home_site(actor, MANAGE)
    context: dict[str, Any] = {
        "site": site,
        "memberships": selectors.members_of(actor, site),
        "invitations": selectors.pending_invitations(actor, site),
        "roles": Role.of_people(),
        "problem": problem,
    }
    status = problem.http_status if problem else 200
    return render(request, "accounts/user_list.html", context, status=status)
