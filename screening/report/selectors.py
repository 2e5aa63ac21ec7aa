"""Reading reports: whose they are, which ones hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.http import Http404

from screening.accounts.models import User
from screening.core import row_security
from screening.reading.models import Addendum, Reading
from screening.report import codes
from screening.report.models import Report, Withdrawal
from screening.studies.models import Study
from screening.studies.storage import StoredFile

REPORTS = "reports"
"""The folder of issued PDFs in private storage."""


class Standing(StrEnum):
    """What an issued report is worth now; the first that fits, from the top."""

    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"
    OUTDATED = "outdated"
    CURRENT = "current"


@dataclass(frozen=True)
class IssuedReport:
    """A report with what became of it."""

    report: Report
    standing: Standing
    withdrawal: Withdrawal | None


def reports_of(user: User | AnonymousUser, study: Study) -> list[IssuedReport]:
    """Every report of ``study``, the newest first."""
    rows = Report.objects.visible_to(user).filter(study=study)
    return [
        standing_of(row) for row in rows.select_related("issued_by", "withdrawal__withdrawn_by")
    ]


def get_report(user: User | AnonymousUser, report_id: UUID) -> Report:
    """A report with its study, or ``Http404`` where ``user`` may not know of it."""
    rows = Report.objects.visible_to(user).select_related("study__patient", "study__site")
    report = rows.filter(pk=report_id).first()
    if report is None:
        raise Http404
    return report


def find_by_code(code: str) -> IssuedReport | None:
    """The report that bears ``code``, for whoever holds it: the code itself is the right to ask.

    The one query of this room that starts from no person, and so crosses the limits of the
    database. What it finds is shown without anything of the patient.
    """
    normal = codes.normal(code)
    if not normal:
        return None
    with row_security.lifted():
        rows = Report.objects.filter(code=normal)
        # With its study, for the audit: outside this block the database shows nothing of it.
        row = rows.select_related("site", "study", "withdrawal").first()
        return standing_of(row) if row is not None else None


def standing_of(report: Report) -> IssuedReport:
    withdrawal = getattr(report, "withdrawal", None)
    if withdrawal is not None:
        standing = Standing.WITHDRAWN
    elif Report.objects.filter(study=report.study_id, version__gt=report.version).exists():
        standing = Standing.SUPERSEDED
    elif sorted(report.covers) != signed_keys(report.study_id):
        standing = Standing.OUTDATED
    else:
        standing = Standing.CURRENT
    return IssuedReport(report, standing, withdrawal)


def signed_keys(study_id: UUID) -> list[str]:
    """The keys of everything signed about a study, readings and addenda, sorted."""
    signed = Reading.objects.signed().filter(study=study_id)
    addenda = Addendum.objects.filter(reading__study=study_id)
    keys = [*signed.values_list("pk", flat=True), *addenda.values_list("pk", flat=True)]
    return sorted(str(key) for key in keys)


def file_names_in_use(keys: Collection[UUID]) -> set[str]:
    """The stored names that the reports with these keys point at."""
    return set(Report.objects.filter(pk__in=keys).values_list("file", flat=True))


def report_files(alias: str) -> Iterator[StoredFile]:
    """Every issued PDF, for backups: no person asks, and no person is answered."""
    rows = Report.objects.using(alias).order_by("pk").values_list("file", "sha256")
    return (StoredFile(name, sha256) for name, sha256 in rows.iterator())
