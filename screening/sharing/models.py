"""De-identified exports: what was asked for, how far it has come, and where the file lies."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, sites_where
from screening.core.models import BaseModel
from screening.core.row_rules import BySite, Through
from screening.sharing.pseudonyms import new_key
from screening.studies.models import Study


class State(models.TextChoices):
    """How far an export has come. The row is the truth; a message only says that it is there."""

    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Being made")
    DONE = "done", _("Ready")
    FAILED = "failed", _("Failed")
    EXPIRED = "expired", _("Removed")


OPEN = (State.QUEUED, State.RUNNING)


class ExportQuerySet(models.QuerySet["Export"]):
    def visible_to(self, user: User | AnonymousUser) -> ExportQuerySet:
        """A person's own exports, of sites where they may still be made.

        Those who may undo pseudonyms see every export of their sites.
        """
        if not user.is_authenticated:
            return self.none()
        mine = models.Q(
            requested_by=user, site__in=sites_where(user, Permission.EXPORT_DEIDENTIFIED)
        )
        return self.filter(mine | models.Q(site__in=sites_where(user, Permission.REIDENTIFY)))


class Export(BaseModel):
    """One ZIP file of studies that name nobody.

    ``options`` is as ``sharing.options`` has it. ``file`` is a name in private storage, empty
    before it is made and after it was removed. ``findings`` lists the pictures that may carry
    words: place in the file, what the file said, and the boxes; whoever wants to download them
    has to look first (``looked_by``). ``attempts`` is counted before the work, as with jobs.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    options = models.JSONField()
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField()
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()
    code = models.CharField(max_length=60, blank=True)
    file = models.CharField(max_length=200, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    size_bytes = models.PositiveBigIntegerField(default=0)
    images = models.PositiveIntegerField(default=0)
    findings = models.JSONField(default=list, blank=True)
    looked_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    looked_at = models.DateTimeField(null=True, blank=True)

    row_security = BySite()

    objects = ExportQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (
            models.Index(fields=("site", "-created_at"), name="export_by_site"),
            models.Index(
                fields=("sent_at",),
                condition=models.Q(state__in=("queued", "running")),
                name="export_open",
            ),
            models.Index(
                fields=("expires_at",), condition=models.Q(state="done"), name="export_expiring"
            ),
        )

    def __str__(self) -> str:
        return f"export {self.pk} {self.state}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def wants_a_look(self) -> bool:
        return bool(self.findings) and self.looked_at is None


class ExportedStudy(BaseModel):
    """That a study is part of an export.

    ``patient_pseudonym``, ``study_uid`` and ``shift_days`` are kept only where whoever asked
    wanted a list by which patients can be found again. ``with_answer`` says that the AI's answer
    went along: it must not reach somebody who has to read the study first.
    """

    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="studies")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="exports")
    with_answer = models.BooleanField(default=False)
    patient_pseudonym = models.CharField(max_length=20, blank=True)
    study_uid = models.CharField(max_length=64, blank=True)
    shift_days = models.IntegerField(null=True, blank=True)

    row_security = Through("export")

    class Meta:
        ordering = ("created_at", "id")
        verbose_name_plural = "exported studies"
        constraints = (
            models.UniqueConstraint(fields=("export", "study"), name="study_once_per_export"),
        )

    def __str__(self) -> str:
        return f"study {self.study_id} in export {self.export_id}"


class SiteKey(BaseModel):
    """The key by which a site's exports give a patient the same pseudonym every time."""

    site = models.OneToOneField(Site, on_delete=models.CASCADE, related_name="+")
    key = models.BinaryField(default=new_key)

    row_security = BySite()

    def __str__(self) -> str:
        return f"key of {self.site_id}"
