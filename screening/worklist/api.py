"""The worklist over the API: what is unread, and who has it in hand."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from screening.accounts.api_permissions import requires_permission
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import InvalidInput
from screening.studies.models import Status
from screening.worklist import claims, selectors
from screening.worklist.forms import CLAIMS, FLAGS, STATUSES, FilterForm
from screening.worklist.selectors import Row


class WorklistEntrySerializer(serializers.Serializer[Row]):
    """One unread study.

    ``flagged`` is null where the AI's answer is hidden from the caller until the first impression
    is recorded. ``claimed_by`` is the user name of whoever has the study in hand now.
    """

    study = serializers.UUIDField(source="entry.pk")
    patient = serializers.UUIDField(source="entry.patient_id")
    mrn = serializers.CharField(source="entry.patient.mrn")
    patient_name = serializers.CharField(source="entry.patient")
    status = serializers.ChoiceField(choices=Status.choices, source="entry.status")
    arrived_at = serializers.DateTimeField(source="entry.arrived_at")
    waiting_s = serializers.SerializerMethodField(help_text="seconds since arrival")
    flagged = serializers.BooleanField(allow_null=True)
    claimed_by = serializers.CharField(source="held_by.username", allow_null=True, default=None)
    claimed_until = serializers.SerializerMethodField()
    assigned_to = serializers.CharField(
        source="entry.assigned_to.username", allow_null=True, default=None
    )

    def get_waiting_s(self, row: Row) -> int:
        return int(row.waited.total_seconds())

    def get_claimed_until(self, row: Row) -> str | None:
        until = row.entry.claimed_until
        return until.isoformat() if row.held_by is not None and until is not None else None


class WorklistPageSerializer(serializers.Serializer[Any]):
    """One page in the order in which the studies are to be read."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    longest_wait_s = serializers.IntegerField(allow_null=True)
    results = WorklistEntrySerializer(many=True)


def _values(choices: Any) -> list[str]:
    return [value for value, _name in choices if value]


class WorklistView(APIView):
    """The unread studies of the caller's sites."""

    permission_classes = (requires_permission(Permission.VIEW_STUDIES),)

    @extend_schema(
        operation_id="worklist_list",
        summary="List the unread studies in the order of reading",
        parameters=[
            OpenApiParameter("status", str, enum=_values(STATUSES)),
            OpenApiParameter("flag", str, enum=_values(FLAGS)),
            OpenApiParameter("claim", str, enum=_values(CLAIMS)),
            OpenApiParameter("since", str, description="Arrived on this day or later, YYYY-MM-DD"),
            OpenApiParameter("until", str, description="Arrived on this day or earlier"),
            OpenApiParameter("q", str, description="Beginning of a patient's name or MRN"),
            OpenApiParameter("after", str, description="From `next`"),
            OpenApiParameter("before", str, description="From `previous`"),
        ],
        responses=WorklistPageSerializer,
    )
    def get(self, request: Request) -> Response:
        user = cast(User, request.user)
        asked = request.query_params
        form = FilterForm(asked)
        if not form.is_valid():
            field, errors = next(iter(form.errors.items()))
            raise InvalidInput(f"{field}: {errors[0]}", field=field)
        found = selectors.worklist_of(user, form.wanted())
        page = found.page(after=asked.get("after", ""), before=asked.get("before", ""))
        rows = selectors.rows_of(user, page.entries)
        oldest = found.oldest
        record("worklist.list", actor=user, detail={"shown": len(rows), "page": "api"})
        body = {
            "next": _address(request, "after", page.next),
            "previous": _address(request, "before", page.previous),
            "longest_wait_s": (
                int(selectors.row_of(user, oldest.pk).waited.total_seconds()) if oldest else None
            ),
            "results": rows,
        }
        return Response(WorklistPageSerializer(body).data)


class ClaimView(APIView):
    """Who has a study in hand."""

    permission_classes = (
        requires_permission(Permission.VIEW_STUDIES, to_write=Permission.CLAIM_STUDIES),
    )

    @extend_schema(
        operation_id="worklist_claim",
        summary="Claim a study, or prolong one's claim",
        request=None,
        responses={
            200: WorklistEntrySerializer,
            409: OpenApiResponse(description="already_claimed or already_read"),
        },
    )
    def post(self, request: Request, study_id: UUID) -> Response:
        user = cast(User, request.user)
        claims.claim_study(actor=user, study_id=study_id)
        return Response(WorklistEntrySerializer(selectors.row_of(user, study_id)).data)

    @extend_schema(
        operation_id="worklist_release",
        summary="Give a study back",
        responses={
            200: WorklistEntrySerializer,
            409: OpenApiResponse(description="already_claimed by somebody else"),
        },
    )
    def delete(self, request: Request, study_id: UUID) -> Response:
        user = cast(User, request.user)
        claims.release_study(actor=user, study_id=study_id)
        return Response(WorklistEntrySerializer(selectors.row_of(user, study_id)).data)


def _address(request: Request, name: str, mark: str) -> str | None:
    if not mark:
        return None
    bare = request.build_absolute_uri(request.path)
    for key, value in request.query_params.items():
        if key not in ("after", "before"):
            bare = replace_query_param(bare, key, value)
    return replace_query_param(bare, name, mark)
