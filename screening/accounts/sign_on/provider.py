"""The conversation with the identity provider: django-allauth's, with what it leaves out.

allauth keeps the state, proves possession of the code (PKCE) and exchanges it. It takes the ID
token unread because it came over TLS, takes whatever issuer the discovery names, and knows no
nonce; these are ours.
"""

from __future__ import annotations

from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from screening.accounts.keys import new_secret
from screening.accounts.sign_on import id_token
from screening.accounts.sign_on.arrival import arrive, refuse
from screening.accounts.sign_on.config import SignOn

PROVIDER_ID = "sign-on"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def configured() -> SignOn:
    """The provider of the settings. The views have asked whether there is one."""
    config: SignOn | None = settings.SIGN_ON
    if config is None:
        raise OAuth2Error("No provider is configured.")
    return config


class Adapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth has no types
    """Asks the one provider of the settings, and believes only what it has checked."""

    nonce = ""
    next_page = ""
    again = False

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request, PROVIDER_ID)
        self.config = configured()

    def get_provider(self) -> Provider:
        app = SocialApp(
            provider=OpenIDConnectProvider.id,
            provider_id=PROVIDER_ID,
            name=self.config.name,
            client_id=self.config.client_id,
            secret=self.config.client_secret,
            settings={"server_url": self.config.issuer.rstrip("/"), "oauth_pkce_enabled": True},
        )
        return Provider(self.request, app=app)

    @property
    def openid_config(self) -> dict[str, Any]:
        found: Any = super().openid_config
        if not isinstance(found, dict) or found.get("issuer") != self.config.issuer:
            raise OAuth2Error("The discovery names another issuer.")
        if not all(isinstance(found.get(name), str) for name in _ENDPOINTS):
            raise OAuth2Error("The discovery lacks an endpoint.")
        return found

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        return request.build_absolute_uri(reverse("accounts:sign_on_callback"))

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: Any, **kwargs: Any
    ) -> None:
        """Judge the ID token and let the person in; allauth's own way would make an account."""
        sent = str(kwargs["response"].get("id_token") or "")
        try:
            claims = id_token.judge(
                sent,
                keys=self._fetch(self.openid_config["jwks_uri"]),
                config=self.config,
                nonce=self.nonce,
            )
        except id_token.NotTrusted as error:
            raise OAuth2Error(f"The ID token is not trusted: {error}.") from None
        if self.config.groups_claim not in claims and "userinfo_endpoint" in self.openid_config:
            more = self._fetch(self.profile_url, token.token)
            if more.get("sub") != claims["sub"]:
                raise OAuth2Error("The user info is about somebody else.")
            claims = {**more, **claims}
        if self.again and not id_token.is_fresh(claims, settings.RECENT_SIGN_IN_S):
            raise ImmediateHttpResponse(refuse("sso_not_fresh"))
        raise ImmediateHttpResponse(arrive(request, self.config, claims, self.next_page))

    def _fetch(self, address: str, access_token: str | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}"} if access_token else {}
        with get_adapter().get_requests_session() as session:
            answer = session.get(address, headers=headers)
            answer.raise_for_status()
            found = answer.json()
        if not isinstance(found, dict):
            raise OAuth2Error("The provider answered with something else.")
        return found


class Provider(OpenIDConnectProvider):  # type: ignore[misc]
    """Adds the nonce, which ties the ID token to this very attempt."""

    def get_oauth2_adapter(self, request: HttpRequest) -> Adapter:
        return Adapter(request)

    def send(self, request: HttpRequest, *, next_page: str, again: bool) -> HttpResponse:
        """Send the browser to the provider; ``again`` asks for a fresh proof of who it is."""
        nonce = new_secret()
        params = {"nonce": nonce, **({"prompt": "login", "max_age": "0"} if again else {})}
        scopes = list(configured().scopes)
        answer: HttpResponse = self.redirect(
            request, "login", next_page, auth_params=params, scope=scopes, nonce=nonce, again=again
        )
        return answer


class Callback(OAuth2CallbackView):  # type: ignore[misc]
    """allauth's, which tells the adapter what belonged to this attempt."""

    def _get_state(self, request: HttpRequest, provider: Provider) -> Any:
        state, response = super()._get_state(request, provider)
        self.adapter.nonce = (state or {}).get("nonce") or ""
        self.adapter.next_page = (state or {}).get("next") or ""
        self.adapter.again = bool((state or {}).get("again"))
        return state, response
