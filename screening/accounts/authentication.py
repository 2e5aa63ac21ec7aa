"""How the API knows who calls: ``Authorization: Token <token>``."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from screening.accounts.models import ApiToken, User
from screening.accounts.policies import home_site_id
from screening.accounts.services.tokens import find_token

_REFUSED = "The token is not valid, has expired, or its user is not active."


class ApiTokenAuthentication(BaseAuthentication):
    """Recognises the tokens of ``POST auth/token/``; a deactivated person's are refused."""

    keyword = "Token"

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != self.keyword.lower().encode():
            return None
        if len(parts) != 2:
            raise AuthenticationFailed("Send the header as: Authorization: Token <token>")
        token = find_token(parts[1].decode("latin-1"))
        site_id = home_site_id(token.user) if token is not None else None
        if token is None or site_id is None:
            raise AuthenticationFailed(_REFUSED)
        request._request.home_site_id = site_id  # type: ignore[attr-defined]  # for the audit
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return self.keyword
