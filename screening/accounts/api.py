"""Tokens over the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from screening.accounts.api_permissions import Public, SignedIn
from screening.accounts.forms import WRONG_LOGIN
from screening.accounts.models import ApiToken
from screening.accounts.services import tokens
from screening.accounts.services.sign_in import check_credentials
from screening.core.errors import InvalidInput, PortalError


class InvalidCredentials(PortalError):
    """One answer for a wrong password, an unknown name and a deactivated person."""

    code = "invalid_credentials"
    http_status = 401

    def __init__(self) -> None:
        super().__init__(WRONG_LOGIN)


class CredentialsSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=4096, trim_whitespace=False)


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()


class ObtainToken(APIView):
    """Exchange user name and password for a token."""

    authentication_classes = ()
    permission_classes = (Public,)

    @extend_schema(
        summary="Sign in and get a token",
        request=CredentialsSerializer,
        responses={200: TokenSerializer, 401: OpenApiResponse(description="invalid_credentials")},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        form = CredentialsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = check_credentials(request._request, **form.validated_data)
        if user is None:
            raise InvalidCredentials
        return Response({"token": tokens.issue_token(user=user)})


class RevokeToken(APIView):
    """Make the token of this very request useless."""

    permission_classes = (SignedIn,)

    @extend_schema(summary="Revoke the token in use", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        if not isinstance(request.auth, ApiToken):
            raise InvalidInput("There is no token in this request.", code="no_token")
        tokens.revoke_token(token=request.auth)
        return Response(status=204)
