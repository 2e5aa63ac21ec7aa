"""Which model version answers, over the API."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from screening.accounts.api_permissions import requires_permission
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, sites_where
from screening.inference import model_health
from screening.inference.activations import answering_at, wanted_at


class AnsweringSerializer(serializers.Serializer[Any]):
    """What answers at one of your sites.

    ``fingerprint`` is the SHA-256 of everything that shapes an answer, thresholds included; empty
    for a broken version. ``since`` is when an administrator decided so, null while the version that
    the installation names answers. ``code`` and ``message`` are null unless the version can't
    answer; then the images sent there fail with that code.
    """

    site = serializers.CharField()
    name = serializers.CharField()
    version = serializers.CharField()
    fingerprint = serializers.CharField(allow_blank=True)
    since = serializers.DateTimeField(allow_null=True)
    code = serializers.CharField(allow_null=True)
    message = serializers.CharField(allow_null=True)


class AnsweringList(APIView):
    """The version that answers at each of the person's sites."""

    permission_classes = (requires_permission(Permission.VIEW_STUDIES),)

    @extend_schema(summary="Which model version answers", responses=AnsweringSerializer(many=True))
    def get(self, request: Request) -> Response:
        sites = sites_where(cast(User, request.user), Permission.VIEW_STUDIES)
        found = [_answering(site) for site in sites.order_by("name")]
        return Response(AnsweringSerializer(found, many=True).data)


def _answering(site: Site) -> dict[str, Any]:
    answering = answering_at(site.pk)
    trouble = model_health.trouble_with(wanted_at(site.pk))
    return {
        "site": site.name,
        "name": answering.package.name,
        "version": answering.package.version,
        "fingerprint": answering.package.fingerprint,
        "since": answering.activation.created_at if answering.activation is not None else None,
        "code": trouble.code if trouble is not None else None,
        "message": trouble.message if trouble is not None else None,
    }
