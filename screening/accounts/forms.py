"""What people type about themselves and about colleagues."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.password_validation import (
    password_validators_help_text_html,
    validate_password,
)
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Role, User
from screening.accounts.services.limits import TooManyAttempts
from screening.accounts.services.sign_in import check_credentials, confirm_identity

WRONG_LOGIN = _("User name or password is wrong, or the account is not active.")

# ASCII only, so that no two user names look alike, and both databases fold their case alike.
check_username = RegexValidator(
    r"\A[a-z0-9](?:[a-z0-9._@+-]{0,148}[a-z0-9])?\Z",
    _("Use letters a to z, digits and . _ @ + - and begin and end with a letter or digit."),
)


class SignInForm(AuthenticationForm):
    """Django's form, with one sentence for every reason to refuse."""

    error_messages = {"invalid_login": WRONG_LOGIN, "inactive": WRONG_LOGIN}
    wait_s = 0  # More than zero: too many attempts, nothing was looked at.

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = _("User name")

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if values.get("username") and values.get("password"):
            try:
                self.user_cache = check_credentials(
                    self.request, username=values["username"], password=values["password"]
                )
            except TooManyAttempts as error:
                self.wait_s = error.retry_after
                raise ValidationError(error.message, code=error.code) from None
            if self.user_cache is None:
                raise self.get_invalid_login_error()
        return values


class ChangePasswordForm(PasswordChangeForm):
    """Django's form, which counts wrong old passwords like every other proof of identity."""

    def clean_old_password(self) -> str:
        password = str(self.cleaned_data["old_password"])
        try:
            proof = confirm_identity(user=self.user, password=password)
        except TooManyAttempts as error:
            raise ValidationError(error.message, code=error.code) from None
        if proof is None:
            raise ValidationError(
                self.error_messages["password_incorrect"], code="password_incorrect"
            )
        return password


class SecondFactorRolesForm(forms.Form):
    """In which roles a site asks for a second factor."""

    roles = forms.MultipleChoiceField(
        label=_("Needed by"),
        required=False,
        choices=Role.of_people(),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Whoever needs one and has none sets it up right after signing in."),
    )


class InviteForm(forms.Form):
    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    role = forms.ChoiceField(
        label=_("Role"),
        choices=Role.of_people,
        initial=Role.CLINICIAN,
        help_text=_("Clinicians work with patients and X-rays. Administrators also manage users."),
    )


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.of_people)


class AcceptInvitationForm(forms.Form):
    """The account that an invited person makes."""

    username = forms.CharField(
        label=_("User name"),
        max_length=150,
        help_text=_("You sign in with it. Letters a to z, digits and . _ @ + -"),
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )
    first_name = forms.CharField(
        label=_("First name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "given-name"}),
    )
    last_name = forms.CharField(
        label=_("Last name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "family-name"}),
    )
    password1 = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html(),
    )
    password2 = forms.CharField(
        label=_("The same password again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, email: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._email = email

    def clean_username(self) -> str:
        username = str(self.cleaned_data["username"]).lower()
        check_username(username)
        if User.objects.filter(username__iexact=username).exists():
            raise ValidationError(_("This user name is taken. Choose another one."))
        return username

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        first, second = values.get("password1"), values.get("password2")
        if first and second and first != second:
            self.add_error("password2", _("The two passwords differ."))
        elif first:
            person = User(
                username=values.get("username", ""),
                first_name=values.get("first_name", ""),
                last_name=values.get("last_name", ""),
                email=self._email,
            )
            try:
                validate_password(first, person)
            except ValidationError as error:
                self.add_error("password1", error)
        return values
