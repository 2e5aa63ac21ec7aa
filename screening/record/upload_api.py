"""What became of an upload, for whoever sent it: no patient, no answer."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from screening.accounts.api_permissions import requires_permission
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.studies.models import Image, Status, Study


class SentImageSerializer(serializers.ModelSerializer[Image]):
    class Meta:
        model = Image
        fields = ("id", "sha256", "status")


class SentStudySerializer(serializers.Serializer[Study]):
    """``done`` says that there is an answer, not which."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.choices)
    images = SentImageSerializer(many=True)


class UploadState(APIView):
    """One study that the caller sent."""

    permission_classes = (requires_permission(Permission.TRACK_UPLOADS),)

    @extend_schema(
        summary="What became of a study that one sent oneself",
        description="How far the AI has come, for devices that may not see patients or answers.",
        responses=SentStudySerializer,
    )
    def get(self, request: Request, study_id: UUID) -> Response:
        sent = Study.objects.sent_by(cast(User, request.user)).prefetch_related("images")
        study = sent.filter(pk=study_id).first()
        if study is None:
            raise Http404
        found: dict[str, Any] = SentStudySerializer(study).data
        return Response(found)
