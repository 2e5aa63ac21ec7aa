"""One's own second factors: the list, adding, naming, removing, recovery codes."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from screening.accounts import security_keys
from screening.accounts.access import before_second_factor, signed_in
from screening.accounts.adapters import SecondFactorAdapter
from screening.accounts.models import User
from screening.accounts.next_page import next_page
from screening.accounts.reauthentication import require_recent_sign_in
from screening.accounts.sealing import CannotUnseal, seal, unseal
from screening.accounts.second_factor_forms import AppCodeForm, KeyNameForm, NewKeyForm
from screening.accounts.second_factors import (
    factors_of,
    forget_second_factor,
    get_factor,
    must_have_second_factor,
    note_second_factor,
    proved_second_factor,
    recovery_codes_left,
)
from screening.accounts.services import second_factors
from screening.accounts.services.second_factors import TOTP, WEBAUTHN, NewFactor
from screening.accounts.services.sessions import end_sessions
from screening.accounts.session_store import HANDLE
from screening.core.errors import Conflict, InvalidInput

_PENDING = "second_factor_pending"  # The sealed secret of an app that is being added.


@before_second_factor
@signed_in
@require_safe
def second_factors_page(request: HttpRequest) -> HttpResponse:
    """Which second factors one has, and how to get one."""
    user = cast(User, request.user)
    factors = list(factors_of(user))
    is_needed = must_have_second_factor(user)
    page = next_page(request, "")
    if is_needed and factors and not proved_second_factor(request):
        return redirect(
            f"{reverse('accounts:confirm_identity')}?{urlencode({'next': page or '/'})}"
        )
    return _show(request, page=page)


@before_second_factor
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
@require_recent_sign_in
def add_app(request: HttpRequest) -> HttpResponse:
    """Show a new secret as a picture for the app; keep it once a code of it comes back."""
    user = cast(User, request.user)
    form = AppCodeForm(request.POST or None)
    secret = _pending_secret(request)
    if request.method == "POST" and secret and form.is_valid():
        try:
            new = second_factors.add_app(user=user, secret=secret, **form.cleaned_data)
        except InvalidInput as error:
            form.add_error(error.field, error.message)
        except Conflict as error:
            return _show(request, problem=error)
        else:
            del request.session[_PENDING]
            return _added(request, user, new)
    if not secret or request.method != "POST":
        secret = second_factors.new_app_secret()
        request.session[_PENDING] = seal(secret)
    adapter = SecondFactorAdapter()
    svg = adapter.build_totp_svg(adapter.build_totp_url(user, secret))
    context = {
        "form": form,
        "next": next_page(request, ""),
        # Made by us of random letters and the user name, as paths without any text.
        "picture": mark_safe(svg.partition("?>")[2].strip()),  # noqa: S308
        "secret": " ".join(secret[i : i + 4] for i in range(0, len(secret), 4)),
    }
    return render(request, "accounts/second_factor_app.html", context)


@before_second_factor
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
@require_recent_sign_in
def add_key(request: HttpRequest) -> HttpResponse:
    """Let the browser ask a security key or passkey, and keep what it answers."""
    user = cast(User, request.user)
    if not security_keys.host_can_have_keys(request):
        return render(request, "accounts/second_factor_key.html", {"needs_name": True})
    form = NewKeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        credential = form.cleaned_data["credential"]
        if security_keys.check_new_key(credential):
            new = second_factors.add_key(
                user=user, name=form.cleaned_data["name"], credential=credential
            )
            return _added(request, user, new)
        form.add_error(None, _("The security key was not recognised. Please try again."))
    context = {
        "form": form,
        "next": next_page(request, ""),
        "challenge": security_keys.challenge_to_add(user),
    }
    return render(request, "accounts/second_factor_key.html", context)


@signed_in
@require_POST
@require_recent_sign_in
def rename_factor(request: HttpRequest, factor_id: int) -> HttpResponse:
    """Give one of one's security keys another name."""
    user = cast(User, request.user)
    factor = get_factor(user, factor_id)
    form = KeyNameForm(request.POST)
    if factor.type == WEBAUTHN and form.is_valid():
        second_factors.rename_key(user=user, factor=factor, name=form.cleaned_data["name"])
        messages.success(request, _("The key has its new name."))
    return redirect("accounts:second_factors")


@signed_in
@require_POST
@require_recent_sign_in
def remove_factor(request: HttpRequest, factor_id: int) -> HttpResponse:
    """Remove one of one's second factors."""
    user = cast(User, request.user)
    factor = get_factor(user, factor_id)
    try:
        second_factors.remove_factor(user=user, factor=factor)
    except Conflict as error:
        return _show(request, problem=error)
    if not factors_of(user).exists():
        forget_second_factor(request)
    _end_others(request)
    messages.success(request, _("The second factor is removed."))
    return redirect("accounts:second_factors")


@signed_in
@require_POST
@require_recent_sign_in
def renew_codes(request: HttpRequest) -> HttpResponse:
    """New recovery codes, shown on this answer and nowhere else."""
    try:
        codes = second_factors.renew_recovery_codes(user=cast(User, request.user))
    except Conflict as error:
        return _show(request, problem=error)
    return _show_codes(request, codes)


def _added(request: HttpRequest, user: User, new: NewFactor) -> HttpResponse:
    note_second_factor(request, user, str(new.factor.type))
    _end_others(request)
    if new.codes:
        return _show_codes(request, new.codes)
    messages.success(request, _("The second factor is added."))
    return redirect(next_page(request, reverse("accounts:second_factors")))


def _end_others(request: HttpRequest) -> None:
    """Whoever is signed in elsewhere came in by what holds no more."""
    user = cast(User, request.user)
    end_sessions(user=user, keep=request.session.get(HANDLE))


def _show_codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    context = {
        "codes": [f"{code[:4]} {code[4:]}" for code in codes],
        "file": "ThoraScreen\n\n" + "\n".join(codes) + "\n",
        "next": next_page(request, reverse("accounts:second_factors")),
    }
    return render(request, "accounts/recovery_codes.html", context)


def _show(request: HttpRequest, *, page: str = "", problem: Conflict | None = None) -> HttpResponse:
    user = cast(User, request.user)
    factors = list(factors_of(user))
    context = {
        "factors": factors,
        "has_app": any(factor.type == TOTP for factor in factors),
        "is_needed": must_have_second_factor(user),
        "codes_left": recovery_codes_left(user),
        "can_have_keys": security_keys.host_can_have_keys(request),
        "next": page,
        "problem": problem,
    }
    status = problem.http_status if problem else 200
    return render(request, "accounts/second_factors.html", context, status=status)


def _pending_secret(request: HttpRequest) -> str:
    sealed = request.session.get(_PENDING, "")
    try:
        return unseal(sealed) if sealed else ""
    except CannotUnseal:
        return ""
