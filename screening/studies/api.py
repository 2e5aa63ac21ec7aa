"""Confirmed diagnoses over the API."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from screening.accounts.api_permissions import requires_permission
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.studies.diagnoses import record_diagnosis
from screening.studies.models import Basis, ConfirmedDiagnosis, Diagnosis
from screening.studies.selectors import diagnoses_of, get_study


class DiagnosisSerializer(serializers.ModelSerializer[ConfirmedDiagnosis]):
    """One entry; ``superseded_at`` is empty for the one that holds."""

    label = serializers.ChoiceField(choices=Diagnosis.choices)  # type: ignore[assignment]
    basis = serializers.ChoiceField(choices=Basis.choices)
    note = serializers.CharField(required=False, allow_blank=True, default="")
    recorded_by = serializers.CharField(source="recorded_by.username", read_only=True)
    superseded_by = serializers.CharField(
        source="superseded_by.username", read_only=True, allow_null=True, default=None
    )

    class Meta:
        model = ConfirmedDiagnosis
        fields = (
            "id",
            "label",
            "basis",
            "date",
            "note",
            "recorded_by",
            "recorded_at",
            "superseded_by",
            "superseded_at",
        )
        read_only_fields = ("id", "recorded_at", "superseded_at")


class DiagnosisList(APIView):
    """What a study's patient turned out to have."""

    permission_classes = (
        requires_permission(Permission.VIEW_STUDIES, to_write=Permission.RECORD_DIAGNOSES),
    )

    @extend_schema(
        operation_id="study_diagnoses_list",
        summary="List a study's confirmed diagnoses, the one that holds first",
        responses=DiagnosisSerializer(many=True),
    )
    def get(self, request: Request, study_id: UUID) -> Response:
        actor = cast(User, request.user)
        study = get_study(actor, study_id)
        record("diagnosis.view", study, actor=actor)
        return Response(DiagnosisSerializer(diagnoses_of(actor, study), many=True).data)

    @extend_schema(
        summary="Record what a study's patient had, in place of what was recorded before",
        request=DiagnosisSerializer,
        responses={
            201: DiagnosisSerializer,
            422: OpenApiResponse(description="A value makes no sense."),
        },
    )
    def post(self, request: Request, study_id: UUID) -> Response:
        actor = cast(User, request.user)
        study = get_study(actor, study_id)
        given = DiagnosisSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values: dict[str, Any] = given.validated_data
        made = record_diagnosis(actor=actor, study=study, **values)
        return Response(DiagnosisSerializer(made).data, status=201)
