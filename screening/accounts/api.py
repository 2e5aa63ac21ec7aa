"""Tokens over the API."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from screening.accounts.api_permissions import Public, SignedIn
from screening.accounts.forms import WRONG_LOGIN
from screening.accounts.models import ApiToken, Scope
from screening.accounts.second_factors import has_second_factor, must_have_second_factor
from screening.accounts.services import tokens
from screening.accounts.services.sign_in import check_credentials, record_refusal
from screening.core.errors import InvalidInput, PortalError


class InvalidCredentials(PortalError):
    """One answer for a wrong password, an unknown name and a deactivated person."""

    code = "invalid_credentials"
    http_status = 401

    def __init__(self) -> None:
        super().__init__(str(WRONG_LOGIN))


class MfaRequired(PortalError):
    """A password alone is not enough for this person, so it opens no token either."""

    code = "mfa_required"
    http_status = 403

    def __init__(self) -> None:
        super().__init__(_("You sign in with a second factor. Make a token on your account page."))


class CredentialsSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=4096, trim_whitespace=False)


class AskedTokenSerializer(CredentialsSerializer):
    """Without ``scopes`` the token may all that its person may; ``days`` is its lifetime."""

    name = serializers.CharField(max_length=60, required=False)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices), required=False, allow_empty=False
    )
    days = serializers.IntegerField(min_value=1, required=False)


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()


class ObtainToken(APIView):
    """Exchange user name and password for a token."""

    authentication_classes = ()
    permission_classes = (Public,)

    @extend_schema(
        summary="Sign in and get a token",
        request=AskedTokenSerializer,
        responses={
            200: TokenSerializer,
            401: OpenApiResponse(description="invalid_credentials"),
            403: OpenApiResponse(description="mfa_required"),
            429: OpenApiResponse(description="too_many_attempts"),
        },
        auth=[],
    )
    def post(self, request: Request) -> Response:
        form = AskedTokenSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        user = check_credentials(
            request._request, username=asked["username"], password=asked["password"]
        )
        if user is None:
            raise InvalidCredentials
        if has_second_factor(user) or must_have_second_factor(user):
            record_refusal(user.get_username(), reason="mfa_required")
            raise MfaRequired
        secret = tokens.issue_token(
            user=user,
            name=asked.get("name", ""),
            scopes=asked.get("scopes"),
            days=asked.get("days"),
        )
        return Response({"token": secret})


class RevokeToken(APIView):
    """Make the token of this very request useless."""

    permission_classes = (SignedIn,)

    @extend_schema(summary="Revoke the token in use", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        if not isinstance(request.auth, ApiToken):
            raise InvalidInput("There is no token in this request.", code="no_token")
        tokens.revoke_token(actor=request.auth.user, token=request.auth)
        return Response(status=204)
