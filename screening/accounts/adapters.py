"""What django-allauth asks of us: who may come in, and by which steps."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.providers.base import AuthError
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.http import HttpRequest, HttpResponse
from requests import RequestException

from screening.accounts.known_devices import remember_device
from screening.accounts.middleware import log_in_page
from screening.accounts.models import User
from screening.accounts.policies import has_active_membership, is_device
from screening.accounts.sealing import seal, unseal
from screening.accounts.services.sign_in import record_refusal
from screening.accounts.sign_on.arrival import refuse


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Accounts come from invitations only; whoever works nowhere cannot sign in by any way."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_login(self, request: HttpRequest, user: User, **_: Any) -> HttpResponse | None:
        """The gate of every way in. The form has asked already; a provider elsewhere has not."""
        if has_active_membership(user) and not is_device(user):
            return None
        record_refusal(user.get_username(), reason="not_active")
        return log_in_page(closed="inactive")

    def get_login_stages(self) -> list[str]:
        """What stands between a right password and a session, in this order."""
        return ["screening.accounts.stages.SecondFactorStage"]

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """The end of every way in: from now on the person is known on this device."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        remember_device(request, response, user)
        return response

    def is_reauthentication_required(self, *, app: str) -> bool:
        """allauth asks nobody again: our pages do (``reauthentication``)."""
        return False

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """None of allauth's own sentences: our pages say what happened."""

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """None of allauth's own letters: our services write theirs."""


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """How second factors are kept and what they are called."""

    def encrypt(self, text: str) -> str:
        return seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(encrypted_text)

    def get_totp_label(self, user: User) -> str:
        return user.get_username()

    def get_totp_issuer(self) -> str:
        return "ThoraScreen"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Keys are bound to the name under which the portal is reached."""
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        return {**entity, "name": "ThoraScreen"}

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """None of allauth's own letters: our services write theirs."""


class OutsideAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Nobody gets an account by allauth's way of signing in elsewhere; ours is ``sign_on``."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: Any = None,
    ) -> None:
        """Whatever went wrong on the way: back to the log-in page, which says so."""
        code = "sso_failed"
        if error == AuthError.CANCELLED:
            code = "sso_cancelled"
        elif isinstance(exception, RequestException):
            code = "sso_unreachable"
        why = str(exception) if isinstance(exception, OAuth2Error) else type(exception).__name__
        raise ImmediateHttpResponse(refuse(code, why=why))
