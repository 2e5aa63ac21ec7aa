"""Signing in and out, and one's own password."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.utils import perform_login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash, views
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from screening.accounts.access import before_second_factor, public, signed_in
from screening.accounts.forms import AcceptInvitationForm, ChangePasswordForm, SignInForm
from screening.accounts.middleware import CLOSED
from screening.accounts.models import Invitation, User
from screening.accounts.policies import has_active_membership
from screening.accounts.services import invitations, passwords
from screening.accounts.services.limits import (
    TooManyAttempts,
    count_wrong_link,
    ensure_links_open,
)
from screening.accounts.session_store import HANDLE
from screening.core.errors import InvalidInput


class LogIn(views.LoginView):
    template_name = "accounts/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        closed = CLOSED.get(self.request.GET.get("closed", ""), "")
        context = {"closed": closed, "sign_on": settings.SIGN_ON}
        return super().get_context_data(**context, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        """Hand over to allauth, which asks for whatever stands between here and a session."""
        answer: HttpResponse = perform_login(
            self.request, form.get_user(), redirect_url=self.get_success_url()
        )
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        response = super().form_invalid(form)
        if form.wait_s:
            response.status_code = TooManyAttempts.http_status
            response["Retry-After"] = str(form.wait_s)
        return response


class ConfirmPasswordReset(views.PasswordResetConfirmView):
    """Django's page, with our service behind it; former members have no way in."""

    template_name = "accounts/password_reset_confirm.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        address = request.META.get("REMOTE_ADDR", "")
        ensure_links_open(address)
        response = super().dispatch(request, *args, **kwargs)
        if response.status_code == 200 and not self.validlink:
            count_wrong_link(address)
        return response

    def get_user(self, uidb64: str) -> User | None:
        user = super().get_user(uidb64)
        return user if user is not None and has_active_membership(user) else None

    def form_valid(self, form: Any) -> HttpResponse:
        password = form.cleaned_data["new_password1"]
        passwords.finish_password_reset(user=form.user, new_password=password)
        del self.request.session[views.INTERNAL_RESET_SESSION_TOKEN]
        messages.success(self.request, _("Your new password is set. Please sign in with it."))
        return redirect("accounts:login")


log_in = public(LogIn.as_view())
log_out = before_second_factor(signed_in(views.LogoutView.as_view()))
confirm_password_reset = public(ConfirmPasswordReset.as_view())


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    """Choose a new password; this session goes on under a new key, all others end."""
    user = cast(User, request.user)
    form = ChangePasswordForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        password = form.cleaned_data["new_password1"]
        keep = request.session.get(HANDLE)
        passwords.change_password(user=user, new_password=password, keep=keep)
        update_session_auth_hash(request, user)
        messages.success(request, _("Your password is changed. Other sessions have been ended."))
        return redirect("accounts:password_change")
    return render(request, "accounts/password_change.html", {"form": form})


@public
@require_http_methods(["GET", "HEAD", "POST"])
def accept_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Make the promised account; or, for somebody who has one, join the site with it."""
    address = request.META.get("REMOTE_ADDR", "")
    ensure_links_open(address)
    try:
        invitation = invitations.find_invitation(token)
        if isinstance(request.user, User):
            return _join(request, request.user, token, invitation)
        return _make_account(request, token, invitation)
    except invitations.InvitationGone as error:
        count_wrong_link(address)
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
            messages.success(
                request,
                _("Your account %(name)s is ready. Please sign in.") % {"name": user.username},
            )
            return redirect("accounts:login")
    context = {"form": form, "invitation": invitation}
    return render(request, "accounts/accept_invitation.html", context)


def _join(request: HttpRequest, user: User, token: str, invitation: Invitation) -> HttpResponse:
    if request.method == "POST":
        membership = invitations.join_site(token=token, user=user)
        messages.success(
            request, _("You are now a member of %(site)s.") % {"site": membership.site}
        )
        return redirect(settings.LOGIN_REDIRECT_URL)
    return render(request, "accounts/join_site.html", {"invitation": invitation})
