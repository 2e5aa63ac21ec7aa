"""Reports as they were issued. Rows are never changed; what becomes of a report is another row."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, within_reach
from screening.core.models import BaseModel
from screening.core.row_rules import BySite, Through
from screening.report.codes import LENGTH
from screening.studies.models import Study


class ReportQuerySet(models.QuerySet["Report"]):
    def visible_to(self, user: User | AnonymousUser) -> ReportQuerySet:
        """The reports that ``user`` may view, by site or in an emergency."""
        return self.filter(
            within_reach(user, Permission.VIEW_STUDIES, site="site", patient="study__patient")
        )


class Report(BaseModel):
    """One issued PDF: its bytes in private storage under ``file``, and their SHA-256.

    ``version`` counts the reports of a study from 1; the newest supersedes the others. ``covers``
    lists the keys of the readings and addenda that were printed, so that a report which lacks
    something signed later is known to be out of date. ``code`` is what the public page asks for.
    """

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="reports")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    version = models.PositiveIntegerField()
    code = models.CharField(max_length=LENGTH, unique=True)
    file = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveIntegerField()
    pages = models.PositiveIntegerField()
    covers = models.JSONField(default=list)
    issued_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    issued_at = models.DateTimeField()

    row_security = BySite(through="study")

    objects = ReportQuerySet.as_manager()

    class Meta:
        ordering = ("-version",)
        constraints = (
            models.UniqueConstraint(fields=("study", "version"), name="report_version_once"),
        )

    def __str__(self) -> str:
        return f"report {self.pk}, version {self.version}"


class Withdrawal(BaseModel):
    """That a report does not hold any more, why, and who said so."""

    report = models.OneToOneField(Report, on_delete=models.PROTECT, related_name="withdrawal")
    reason = models.TextField()
    withdrawn_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    row_security = Through("report")

    def __str__(self) -> str:
        return f"withdrawal of report {self.report_id}"
