"""The second factor when signing in, and the identity asked for again before a dangerous act."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.stages import LoginStage, LoginStageController
from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from screening.accounts import security_keys
from screening.accounts.access import before_second_factor, public, signed_in
from screening.accounts.models import User
from screening.accounts.next_page import next_page
from screening.accounts.reauthentication import note_proof
from screening.accounts.second_factor_forms import CodeForm, KeyForm, PasswordForm
from screening.accounts.second_factors import (
    factors_of,
    must_have_second_factor,
    note_second_factor,
    proved_second_factor,
)
from screening.accounts.services import sign_in
from screening.accounts.services.limits import TooManyAttempts
from screening.accounts.stages import SecondFactorStage

KEY = str(Authenticator.Type.WEBAUTHN)


@public
@require_http_methods(["GET", "HEAD", "POST"])
def prove_second_factor(request: HttpRequest) -> HttpResponse:
    """Between a right password and the session: the second factor."""
    if request.user.is_authenticated:
        return redirect("/")
    stage: LoginStage | None = LoginStageController.enter(request, SecondFactorStage.key)
    if stage is None or stage.login.user is None:
        return redirect("accounts:login")
    user: User = stage.login.user
    questions = Questions(request, user, password=False)
    kind = questions.judge(signing_in=True)
    if kind is None:
        return questions.page("accounts/prove_second_factor.html")
    note_second_factor(request, user, kind)
    answer: HttpResponse = stage.exit()
    return answer


@before_second_factor
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_identity(request: HttpRequest) -> HttpResponse:
    """Prove once more who one is, and go back to what one was about to do."""
    user = cast(User, request.user)
    page = next_page(request, reverse("accounts:account"))
    # A password is no proof for a session that still lacks the second factor it needs.
    lacking = (
        not proved_second_factor(request)
        and must_have_second_factor(user)
        and factors_of(user).exists()
    )
    questions = Questions(request, user, password=user.has_usable_password() and not lacking)
    kind = questions.judge(signing_in=False)
    if kind is None:
        return questions.page("accounts/confirm_identity.html", next=page)
    note_proof(request)
    if kind != "password":
        note_second_factor(request, user, kind)
    sign_in.record_confirmation(user, by=kind)
    messages.success(request, _("Thank you. For the next minutes you will not be asked again."))
    return redirect(page)


class Questions:
    """The ways in which one person can prove the identity, and what was answered."""

    def __init__(self, request: HttpRequest, user: User, *, password: bool) -> None:
        self.request = request
        self.user = user
        factors = list(factors_of(user))
        keys = any(factor.type == KEY for factor in factors)
        self.password = PasswordForm() if password else None
        self.code = CodeForm() if factors else None
        self.key = KeyForm() if keys and security_keys.host_can_have_keys(request) else None
        self.keys_elsewhere = keys and self.key is None
        self.status = 200
        self.wait_s = 0

    def judge(self, *, signing_in: bool) -> str | None:
        """With what the identity was proved by this request; ``None`` if it was not (yet)."""
        if self.request.method != "POST":
            return None
        sent = self.request.POST
        form: PasswordForm | CodeForm | KeyForm
        if self.password is not None and "password" in sent:
            form = self.password = PasswordForm(sent)
        elif self.key is not None and "credential" in sent:
            form = self.key = KeyForm(sent)
        elif self.code is not None:
            form = self.code = CodeForm(sent)
        else:
            return None
        if not form.is_valid():
            return None
        try:
            kind = self._prove(form, signing_in=signing_in)
        except TooManyAttempts as error:
            form.add_error(None, error.message)
            self.status, self.wait_s = error.http_status, error.retry_after
            return None
        if kind is None:
            form.add_error(None, _wrong(form))
        return kind

    def _prove(self, form: Any, *, signing_in: bool) -> str | None:
        values = form.cleaned_data
        if isinstance(form, KeyForm):
            if security_keys.check_key(self.user, values["credential"]) is not None:
                return KEY
            sign_in.record_refused_key(self.user)
            return None
        if signing_in:
            return sign_in.check_second_factor(self.request, user=self.user, code=values["code"])
        return sign_in.confirm_identity(user=self.user, **values)

    def page(self, template: str, **context: Any) -> HttpResponse:
        """The page with every question that can be answered here."""
        challenge = security_keys.challenge_to_prove(self.user) if self.key is not None else None
        context |= {
            "password_form": self.password,
            "code_form": self.code,
            "key_form": self.key,
            "keys_elsewhere": self.keys_elsewhere,
            "challenge": challenge,
        }
        response = render(self.request, template, context, status=self.status)
        if self.wait_s:
            response["Retry-After"] = str(self.wait_s)
        return response


def _wrong(form: PasswordForm | CodeForm | KeyForm) -> str:
    if isinstance(form, PasswordForm):
        return _("The password is wrong.")
    if isinstance(form, CodeForm):
        return _("This code is wrong, or it was used already. Wait for the next one.")
    return _("The security key was not recognised. Please try again.")
