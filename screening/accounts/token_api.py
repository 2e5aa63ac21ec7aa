"""Tokens over the API: one's own, and for an admin those of the site."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from screening.accounts import selectors
from screening.accounts.api_permissions import OwnAccount, requires_permission
from screening.accounts.models import ApiToken, Scope, User
from screening.accounts.policies import Permission, home_site
from screening.accounts.reauthentication import ensure_recent_sign_in
from screening.accounts.scopes import TokenScope
from screening.accounts.services import tokens

MANAGE = Permission.MANAGE_USERS


class ListedTokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token without its secret, of which ``hint`` is the end."""

    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = (
            "id",
            "name",
            "scopes",
            "hint",
            "created_at",
            "expires_at",
            "last_used_at",
            "last_used_from",
        )


class SiteTokenSerializer(ListedTokenSerializer):
    """``owner`` is the user name of the person or device that the token stands for."""

    owner = serializers.CharField(source="user.username")

    class Meta(ListedTokenSerializer.Meta):
        fields = (*ListedTokenSerializer.Meta.fields, "owner")


class NewTokenSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=60)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices), allow_empty=False
    )
    days = serializers.IntegerField(min_value=1, help_text="lifetime")


class MadeTokenSerializer(ListedTokenSerializer):
    """``token`` is shown this once."""

    token = serializers.CharField()

    class Meta(ListedTokenSerializer.Meta):
        fields = (*ListedTokenSerializer.Meta.fields, "token")


class OwnTokens(APIView):
    """The caller's tokens."""

    permission_classes = (OwnAccount,)

    @extend_schema(
        operation_id="auth_tokens_list",
        summary="List one's own tokens",
        responses=ListedTokenSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        found = selectors.tokens_of(cast(User, request.user))
        return Response(ListedTokenSerializer(found, many=True).data)

    @extend_schema(
        summary="Make a token",
        description=(
            "Only for whoever is signed in: a token makes no tokens (`token_scope`). Programs ask "
            "`POST auth/token/` with user name and password."
        ),
        request=NewTokenSerializer,
        responses={201: MadeTokenSerializer},
    )
    def post(self, request: Request) -> Response:
        if isinstance(request.auth, ApiToken):
            # Else a stolen one would outlive its end, and its scopes.
            raise TokenScope(
                "A token makes no tokens. Sign in, or send user name and password to auth/token/."
            )
        ensure_recent_sign_in(request._request)
        form = NewTokenSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        issued = tokens.make_token(user=cast(User, request.user), **form.validated_data)
        listed = ListedTokenSerializer(issued.token).data
        return Response({**listed, "token": issued.secret}, status=201)


class OwnToken(APIView):
    """One of the caller's tokens."""

    permission_classes = (OwnAccount,)

    @extend_schema(summary="Revoke one of one's own tokens", responses={204: None})
    def delete(self, request: Request, token_id: UUID) -> Response:
        user = cast(User, request.user)
        tokens.revoke_token(actor=user, token=selectors.get_own_token(user, token_id))
        return Response(status=204)


class SiteTokens(APIView):
    """The tokens of everybody at the admin's site."""

    permission_classes = (requires_permission(MANAGE),)

    @extend_schema(
        operation_id="site_tokens_list",
        summary="List the tokens of the site's people and devices",
        responses=SiteTokenSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        actor = cast(User, request.user)
        found = selectors.tokens_at(actor, home_site(actor, MANAGE))
        return Response(SiteTokenSerializer(found, many=True).data)


class SiteToken(APIView):
    """A token of somebody at one of the caller's sites."""

    permission_classes = (requires_permission(MANAGE, asked_later=True),)

    @extend_schema(summary="Revoke a token of the site's people and devices", responses={204: None})
    def delete(self, request: Request, token_id: UUID) -> Response:
        actor = cast(User, request.user)
        tokens.revoke_token(actor=actor, token=selectors.get_token(actor, token_id))
        return Response(status=204)
