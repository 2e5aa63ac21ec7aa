"""Reports over the API: list, issue, fetch."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.http import FileResponse, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from screening.accounts.api_permissions import requires_permission
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.report import selectors, services
from screening.report.selectors import IssuedReport, Standing
from screening.report.serving import PDF, serve_preliminary, serve_report
from screening.report.views import public_address
from screening.studies.selectors import get_study

MAY_VIEW = requires_permission(Permission.VIEW_STUDIES)


def _user(request: Request) -> User:
    return cast(User, request.user)


class ReportSerializer(serializers.Serializer[IssuedReport]):
    """An issued report. ``standing`` says what it is worth now; ``pdf`` takes the same token."""

    id = serializers.UUIDField(source="report.pk")
    study = serializers.UUIDField(source="report.study_id")
    version = serializers.IntegerField(source="report.version")
    standing = serializers.ChoiceField(choices=[(s.value, s.value) for s in Standing])
    issued_at = serializers.DateTimeField(source="report.issued_at")
    issued_by = serializers.CharField(source="report.issued_by.username")
    sha256 = serializers.CharField(source="report.sha256")
    size_bytes = serializers.IntegerField(source="report.size_bytes")
    pages = serializers.IntegerField(source="report.pages")
    code = serializers.CharField(source="report.code", help_text="for the public page")
    verify = serializers.SerializerMethodField(help_text="the public page that checks it")
    pdf = serializers.SerializerMethodField()

    def get_verify(self, issued: IssuedReport) -> str:
        address: str = reverse(
            "report:verify_code", args=(issued.report.code,), request=self.context["request"]
        )
        return address

    def get_pdf(self, issued: IssuedReport) -> str:
        address: str = reverse(
            "api-report-pdf", args=(issued.report.pk,), request=self.context["request"]
        )
        return address


class IssueSerializer(serializers.Serializer[Any]):
    """``seen``: issue only if this version (0: none) is still the newest."""

    seen = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False)


class ReportList(APIView):
    """The reports of a study."""

    permission_classes = (
        requires_permission(Permission.VIEW_STUDIES, to_write=Permission.ISSUE_REPORTS),
    )

    @extend_schema(
        operation_id="study_reports_list",
        summary="List a study's reports, the newest first",
        responses=ReportSerializer(many=True),
    )
    def get(self, request: Request, study_id: UUID) -> Response:
        study = get_study(_user(request), study_id)
        record("report.list", study, actor=_user(request))
        context = {"request": request}
        found = selectors.reports_of(_user(request), study)
        return Response([ReportSerializer(one, context=context).data for one in found])

    @extend_schema(
        operation_id="study_reports_issue",
        summary="Issue a report of what is signed",
        request=IssueSerializer,
        responses={
            201: ReportSerializer,
            403: OpenApiResponse(description="`answer_hidden`: the study has to be read first."),
            409: OpenApiResponse(description="`not_signed` or `changed_meanwhile`."),
            503: OpenApiResponse(description="`busy` or `storage_unavailable`."),
        },
    )
    def post(self, request: Request, study_id: UUID) -> Response:
        actor = _user(request)
        study = get_study(actor, study_id)
        form = IssueSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        report = services.issue_report(
            actor=actor,
            study=study,
            build_url=public_address(request._request),
            seen=form.validated_data.get("seen"),
        )
        made = ReportSerializer(selectors.standing_of(report), context={"request": request})
        return Response(made.data, status=201)


class PdfRenderer(BaseRenderer):
    """Lets a caller ask for the PDF; the bytes are sent as they are."""

    media_type = PDF
    format = "pdf"

    def render(self, data: Any, *_: Any) -> Any:
        return data


class PdfView(APIView):
    """The bytes of a PDF for whoever may see it."""

    permission_classes = (MAY_VIEW,)
    # JSON first: errors are written as JSON whatever was asked for.
    renderer_classes = (JSONRenderer, PdfRenderer)


class ReportPdf(PdfView):
    """An issued report."""

    @extend_schema(
        summary="The report as it was issued", responses={(200, PDF): OpenApiTypes.BINARY}
    )
    def get(self, request: Request, report_id: UUID) -> FileResponse:
        return serve_report(_user(request), selectors.get_report(_user(request), report_id))


class PreliminaryPdf(PdfView):
    """What can be printed before anything is signed."""

    @extend_schema(
        summary="The study as it stands, marked as no report",
        responses={(200, PDF): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, study_id: UUID) -> HttpResponse:
        study = get_study(_user(request), study_id)
        return serve_preliminary(services.print_preliminary(actor=_user(request), study=study))
