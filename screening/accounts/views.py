"""Signing in and out, and one's own password."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash, views
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from screening.accounts.access import public, signed_in
from screening.accounts.forms import AcceptInvitationForm, SignInForm
from screening.accounts.middleware import CLOSED
from screening.accounts.models import Invitation, User
from screening.accounts.policies import has_active_membership
from screening.accounts.services import invitations, passwords
from screening.core.errors import InvalidInput


class LogIn(views.LoginView):
    template_name = "accounts/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        closed = CLOSED.get(self.request.GET.get("closed", ""), "")
        return super().get_context_data(closed=closed, **kwargs)


class ConfirmPasswordReset(views.PasswordResetConfirmView):
    """Django's page, with our service behind it; former members have no way in."""

    template_name = "accounts/password_reset_confirm.html"

    def get_user(self, uidb64: str) -> User | None:
        user = super().get_user(uidb64)
        return user if user is not None and has_active_membership(user) else None

    def form_valid(self, form: Any) -> HttpResponse:
        password = form.cleaned_data["new_password1"]
        passwords.finish_password_reset(user=form.user, new_password=password)
        del self.request.session[views.INTERNAL_RESET_SESSION_TOKEN]
        messages.success(self.request, "Your new password is set. Please sign in with it.")
        return redirect("accounts:login")


log_in = public(LogIn.as_view())
log_out = signed_in(views.LogoutView.as_view())
confirm_password_reset = public(ConfirmPasswordReset.as_view())


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    """Choose a new password; this session goes on under a new key, all others end."""
    user = cast(User, request.user)
    form = PasswordChangeForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        password = form.cleaned_data["new_password1"]
        passwords.change_password(user=user, new_password=password)
        update_session_auth_hash(request, user)
        messages.success(request, "Your password is changed. Other sessions have been ended.")
        return redirect("accounts:password_change")
    return render(request, "accounts/password_change.html", {"form": form})


@public
@require_http_methods(["GET", "HEAD", "POST"])
def accept_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Make the promised account; or, for somebody who has one, join the site with it."""
    try:
        invitation = invitations.find_invitation(token)
        if isinstance(request.user, User):
            return _join(request, request.user, token, invitation)
        return _make_account(request, token, invitation)
    except invitations.InvitationGone as error:
        context = {"message": error.message}
        return render(request, "accounts/invitation_gone.html", context, status=410)


def _make_account(request: HttpRequest, token: str, invitation: Invitation) -> HttpResponse:
    form = AcceptInvitationForm(request.POST or None, email=invitation.email)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            user = invitations.accept_invitation(
                token=token,
                username=values["username"],
                first_name=values["first_name"],
                last_name=values["last_name"],
                password=values["password1"],
            )
        except InvalidInput as error:
            form.add_error(error.field, error.message)
        else:
            messages.success(request, f"Your account {user.username} is ready. Please sign in.")
            return redirect("accounts:login")
    context = {"form": form, "invitation": invitation}
    return render(request, "accounts/accept_invitation.html", context)


def _join(request: HttpRequest, user: User, token: str, invitation: Invitation) -> HttpResponse:
    if request.method == "POST":
        membership = invitations.join_site(token=token, user=user)
        messages.success(request, f"You are now a member of {membership.site}.")
        return redirect(settings.LOGIN_REDIRECT_URL)
    return render(request, "accounts/join_site.html", {"invitation": invitation})
