"""``/api/v1/auth/``."""

from __future__ import annotations

from django.urls import path

from screening.accounts.api import ObtainToken, RevokeToken

urlpatterns = [
    path("auth/token/", ObtainToken.as_view(), name="api-token"),
    path("auth/token/revoke/", RevokeToken.as_view(), name="api-token-revoke"),
]
