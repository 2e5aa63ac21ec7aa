"""How the API knows who calls: ``Authorization: Token <token>``."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from screening.accounts.models import ApiToken, User
from screening.accounts.policies import member_site_ids
from screening.accounts.scopes import reach
from screening.accounts.services.tokens import find_token
from screening.core import row_security

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
        token = find_token(
            parts[1].decode("latin-1"), address=request.META.get("REMOTE_ADDR") or None
        )
        sites = member_site_ids(token.user) if token is not None else []
        if token is None or not sites:
            raise AuthenticationFailed(_REFUSED)
        row_security.widen(person=token.user.pk, sites=sites)
        # For the audit, which sees only the request below DRF's.
        request._request.home_site_id = sites[0]  # type: ignore[attr-defined]
        request._request.token_id = token.pk  # type: ignore[attr-defined]
        device = getattr(token.user, "service_account", None)
        request._request.token_owner_id = device.owner_id if device else None  # type: ignore[attr-defined]
        token.user.token_reach = reach(token.scopes)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return self.keyword
