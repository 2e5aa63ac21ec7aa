"""Sending an issued report to somebody who may see it; pages and the API share this."""

from __future__ import annotations

from django.http import FileResponse, HttpResponse

from screening.accounts.models import User
from screening.audit.services import record
from screening.report.models import Report
from screening.report.services import refuse_hidden
from screening.studies.serving import serve_file

PDF = "application/pdf"


def serve_report(actor: User, report: Report) -> FileResponse:
    """The very bytes that were issued.

    :raises Forbidden: ``answer_hidden``.
    :raises Http404: the file is missing in storage.
    """
    refuse_hidden(actor, report.study)
    name = f"report-{report.study_id}-v{report.version}.pdf"
    response = serve_file(report.file, content_type=PDF, file_name=name, attachment=True)
    record("report.download", report, actor=actor, detail={"study": str(report.study_id)})
    return response


def serve_preliminary(data: bytes) -> HttpResponse:
    """What was printed a moment ago, as a download."""
    return HttpResponse(
        data,
        content_type=PDF,
        headers={
            "Content-Disposition": 'attachment; filename="preliminary.pdf"',
            "Cache-Control": "no-store, private",
            "X-Content-Type-Options": "nosniff",
        },
    )
