"""``/api/v1/auth/``, and the tokens of a site."""

from __future__ import annotations

from django.urls import path

from screening.accounts.api import ObtainToken, RevokeToken
from screening.accounts.token_api import OwnToken, OwnTokens, SiteToken, SiteTokens

urlpatterns = [
    path("auth/token/", ObtainToken.as_view(), name="api-token"),
    path("auth/token/revoke/", RevokeToken.as_view(), name="api-token-revoke"),
    path("auth/tokens/", OwnTokens.as_view(), name="api-tokens"),
    path("auth/tokens/<uuid:token_id>/", OwnToken.as_view(), name="api-own-token"),
    path("site/tokens/", SiteTokens.as_view(), name="api-site-tokens"),
    path("site/tokens/<uuid:token_id>/", SiteToken.as_view(), name="api-site-token"),
]
