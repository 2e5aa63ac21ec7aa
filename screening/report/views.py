"""A study's reports, and the public page on which anybody can check one."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST, require_safe

from screening.accounts import policies
from screening.accounts.access import public, requires
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.reading.selectors import answer_hidden
from screening.report import codes, selectors, services
from screening.report.content import signed_words
from screening.report.forms import IssueForm
from screening.report.serving import serve_preliminary, serve_report
from screening.report.verification import check_report
from screening.studies.selectors import get_study


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


@requires(Permission.VIEW_STUDIES)
@require_safe
def reports(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """Every report of a study, and what can be printed now."""
    user = _user(request)
    study = get_study(user, study_id)
    issued = selectors.reports_of(user, study)
    record("report.list", study, actor=user)
    context = {
        "study": study,
        "issued": issued,
        "newest": issued[0].report.version if issued else 0,
        "is_signed": signed_words(user, study).is_signed,
        "is_hidden": answer_hidden(user, study),
        "may_issue": policies.may(user, Permission.ISSUE_REPORTS, study.site_id),
        "reason_length": services.REASON_LENGTH,
    }
    return render(request, "report/reports.html", context)


@requires(Permission.VIEW_STUDIES)
@require_GET
def preliminary(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """The study as it stands, as a PDF that is no report."""
    user = _user(request)
    study = get_study(user, study_id)
    return serve_preliminary(services.print_preliminary(actor=user, study=study))


@requires(Permission.ISSUE_REPORTS)
@require_POST
def issue(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """Issue a report and go back to the list."""
    user = _user(request)
    study = get_study(user, study_id)
    form = IssueForm(request.POST)
    if not form.is_valid():
        raise InvalidInput(_("The form is not complete: open the page again."))
    try:
        report = services.issue_report(
            actor=user,
            study=study,
            build_url=public_address(request),
            seen=form.cleaned_data["seen"],
        )
    except Conflict as conflict:
        messages.warning(request, conflict.message)
    else:
        said = _("Version %(version)s of the report is issued.")
        messages.success(request, said % {"version": report.version})
    return redirect("report:reports", study.pk)


@requires(Permission.VIEW_STUDIES)
@require_GET
def download(request: HttpRequest, report_id: UUID) -> HttpResponseBase:
    """The bytes of an issued report."""
    user = _user(request)
    return serve_report(user, selectors.get_report(user, report_id))


@requires(Permission.ISSUE_REPORTS)
@require_POST
def withdraw(request: HttpRequest, report_id: UUID) -> HttpResponse:
    """Say that a report does not hold any more, and go back to the list."""
    user = _user(request)
    report = selectors.get_report(user, report_id)
    try:
        services.withdraw_report(actor=user, report=report, reason=request.POST.get("reason", ""))
    except (Conflict, InvalidInput) as error:
        messages.warning(request, error.message)
    else:
        said = _("Version %(version)s of the report is withdrawn.")
        messages.success(request, said % {"version": report.version})
    return redirect("report:reports", report.study_id)


@public
@require_safe
def verify(request: HttpRequest) -> HttpResponse:
    """Where a code is typed in; what was typed leads to its page."""
    typed = request.GET.get("code", "").strip()
    code = codes.normal(typed)
    if code:
        return redirect("report:verify_code", code)
    return render(request, "report/verify.html", {"typed": typed[:80], "is_wrong": bool(typed)})


@public
@require_safe
def verify_code(request: HttpRequest, code: str) -> HttpResponse:
    """What a report is worth: genuine, current, superseded, out of date, withdrawn, or unknown."""
    check = check_report(code=code, sha256=request.GET.get("sha256", ""))
    context = {"check": check, "code": codes.readable(check.code)}
    status = 200 if check.found is not None else 404
    return render(request, "report/verify_code.html", context, status=status)


def public_address(request: HttpRequest) -> services.BuildUrl:
    """Turns a code into the address of its public page, at the host of this request."""

    def build(code: str) -> str:
        return request.build_absolute_uri(reverse("report:verify_code", args=(code,)))

    return build
