"""Patients over the API."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from screening.accounts.api_permissions import requires_permission
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, home_site, sites_where
from screening.audit.services import record
from screening.core.errors import InvalidInput
from screening.patients import rules, selectors, services
from screening.patients.models import Patient


class PatientSerializer(serializers.ModelSerializer[Patient]):
    """Checks what is typed with the rules of the pages; the services do the writing."""

    mrn = serializers.CharField(max_length=None)

    class Meta:
        model = Patient
        fields = (
            "id",
            "mrn",
            "family_name",
            "given_name",
            "birth_date",
            "sex",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("id", "created_at", "updated_at")

    def validate_mrn(self, value: str) -> str:
        return rules.check_mrn(value)

    def validate_family_name(self, value: str) -> str:
        return rules.check_family_name(value)

    def validate_given_name(self, value: str) -> str:
        return rules.check_given_name(value)

    def validate_birth_date(self, value: Any) -> Any:
        return rules.check_birth_date(value)


class NewPatientSerializer(PatientSerializer):
    """With the site, for whoever registers at several; without it, it is the caller's own."""

    site = serializers.UUIDField(required=False, write_only=True)

    class Meta(PatientSerializer.Meta):
        fields = (  # type: ignore[assignment]  # one more than the tuple above
            *PatientSerializer.Meta.fields,
            "site",
        )


class PatientPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = PatientSerializer(many=True)


class PatientList(APIView):
    """Search and register."""

    permission_classes = (
        requires_permission(Permission.VIEW_PATIENTS, to_write=Permission.EDIT_PATIENTS),
    )

    @extend_schema(
        operation_id="patients_list",
        summary="List or search patients",
        parameters=[
            OpenApiParameter(
                "q", str, description="Beginning of a name or MRN, or: family name, given name"
            ),
            OpenApiParameter("mrn", str, description="Exactly this MRN; case does not count"),
            OpenApiParameter("cursor", str, description="From `next` or `previous`"),
        ],
        responses=PatientPageSerializer,
    )
    def get(self, request: Request) -> Response:
        asked = request.query_params
        page = selectors.search_patients(
            request.user,
            text=asked.get("q", ""),
            mrn=asked.get("mrn", ""),
            cursor=asked.get("cursor", ""),
        )
        narrowed = bool(asked.get("q", "").strip() or asked.get("mrn", "").strip())
        record("patient.search", detail={"shown": len(page.patients), "narrowed": narrowed})
        return Response(
            {
                "next": _address(request, page.next),
                "previous": _address(request, page.previous),
                "results": PatientSerializer(page.patients, many=True).data,
            }
        )

    @extend_schema(
        summary="Register a patient",
        request=NewPatientSerializer,
        responses={201: PatientSerializer, 409: OpenApiResponse(description="mrn_taken")},
    )
    def post(self, request: Request) -> Response:
        actor = cast(User, request.user)
        given = NewPatientSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = dict(given.validated_data)
        site = _site_for(actor, values.pop("site", None))
        patient = services.create_patient(actor=actor, site=site, **values)
        return Response(PatientSerializer(patient).data, status=201)


class PatientDetail(APIView):
    """Read and correct one patient's data."""

    permission_classes = (
        requires_permission(Permission.VIEW_PATIENTS, to_write=Permission.EDIT_PATIENTS),
    )

    @extend_schema(summary="Read a patient", responses=PatientSerializer)
    def get(self, request: Request, patient_id: UUID) -> Response:
        patient = selectors.get_patient(request.user, patient_id)
        record("patient.view", patient)
        return Response(PatientSerializer(patient).data)

    @extend_schema(
        summary="Correct a patient's data",
        request=PatientSerializer(partial=True),
        responses={200: PatientSerializer, 409: OpenApiResponse(description="mrn_taken")},
    )
    def patch(self, request: Request, patient_id: UUID) -> Response:
        actor = cast(User, request.user)
        patient = selectors.get_patient(actor, patient_id)
        given = PatientSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        changed = services.update_patient(
            actor=actor, patient=patient, changes=given.validated_data
        )
        return Response(PatientSerializer(changed).data)


def _site_for(actor: User, site_id: UUID | None) -> Site:
    """Where a new patient belongs. Raises ``InvalidInput`` for a site that is not the actor's."""
    if site_id is None:
        return home_site(actor, Permission.EDIT_PATIENTS)
    site = sites_where(actor, Permission.EDIT_PATIENTS).filter(pk=site_id).first()
    if site is None:
        raise InvalidInput(
            _("You register no patients at this site."), code="unknown_site", field="site"
        )
    return site


def _address(request: Request, cursor: str) -> str | None:
    if not cursor:
        return None
    return replace_query_param(request.build_absolute_uri(), "cursor", cursor)
