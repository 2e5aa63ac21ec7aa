"""The AI's work on images: what is to be done, what came out, and by which model."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, sites_where, within_reach
from screening.core.models import BaseModel
from screening.core.row_rules import BySite, NotLimited, Through
from screening.studies.models import Image, Status


class Label(models.TextChoices):
    COVID = "covid", _("COVID-19")
    PNEUMONIA = "pneumonia", _("Pneumonia")
    NORMAL = "normal", _("Normal")


class ModelVersion(BaseModel):
    """One released model package that has answered here, was promoted, or was tried in shadow."""

    name = models.CharField(max_length=80)
    version = models.CharField(max_length=40)
    weights_sha256 = models.CharField(max_length=64)
    preprocessing_version = models.CharField(max_length=40)
    manifest = models.JSONField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("name", "version", "weights_sha256"),
                name="model_version_unique",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class ActivationQuerySet(models.QuerySet["Activation"]):
    def visible_to(self, user: User | AnonymousUser) -> ActivationQuerySet:
        """Which version answers at a site is no secret to whoever reads its answers."""
        return self.filter(site__in=sites_where(user, Permission.VIEW_STUDIES))


class Activation(BaseModel):
    """An admin's decision that from now on this version answers at the site. Append-only.

    The row with the highest ``number`` of a site holds; a site without one is answered by the
    installation's default. ``fingerprint`` names the very package (``ml.package.fingerprint``):
    should its files or thresholds change, it answers nothing until somebody decides anew.
    ``previous`` is what answered before, empty where nothing could. ``thresholds`` keeps what the
    admin was shown of old and new operating points, and said to have reviewed.

    Database triggers (``inference.triggers``) refuse UPDATE and DELETE.
    """

    class Kind(models.TextChoices):
        PROMOTE = "promote", _("Promoted")
        ROLL_BACK = "roll_back", _("Rolled back")
        KEEP = "keep", _("Kept")

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="activations")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="activations"
    )
    fingerprint = models.CharField(max_length=64)
    previous = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    previous_fingerprint = models.CharField(max_length=64, blank=True)
    reason = models.TextField()
    thresholds = models.JSONField()
    actor = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    row_security = NotLimited("No patient data; the readiness probe asks for every version in use.")

    objects = ActivationQuerySet.as_manager()

    class Meta:
        ordering = ("site", "-number")
        constraints = (
            models.UniqueConstraint(fields=("site", "number"), name="activation_in_order"),
        )

    def __str__(self) -> str:
        return f"activation {self.number} of {self.site_id}"


class ShadowRunQuerySet(models.QuerySet["ShadowRun"]):
    def visible_to(self, user: User | AnonymousUser) -> ShadowRunQuerySet:
        return self.filter(site__in=sites_where(user, Permission.MANAGE_MODELS))


class ShadowRun(BaseModel):
    """A candidate that answers beside the active version of a site, unseen by clinicians.

    One at a time for each site: the row without ``ended_at``.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="shadow_runs")
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="shadow_runs"
    )
    fingerprint = models.CharField(max_length=64)
    started_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    ended_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    ended_at = models.DateTimeField(null=True, blank=True)

    row_security = BySite()

    objects = ShadowRunQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("site",),
                condition=models.Q(ended_at__isnull=True),
                name="shadow_one_at_a_time",
            ),
        )

    def __str__(self) -> str:
        return f"shadow run {self.pk}"


def _of_image(user: User | AnonymousUser) -> models.Q:
    return within_reach(
        user, Permission.VIEW_STUDIES, site="image__study__site", patient="image__study__patient"
    )


class JobQuerySet(models.QuerySet["Job"]):
    def visible_to(self, user: User | AnonymousUser) -> JobQuerySet:
        return self.filter(_of_image(user))


class Job(BaseModel):
    """The classification of one image: the truth, of which the broker's message is a hint.

    States: ``queued → running → done | failed | refused``. A row moves to ``running`` only by
    compare-and-set on (``status``, ``attempts``), with ``attempts`` + 1 persisted before the
    work, so a message delivered twice or a job that kills its worker can't run for ever.
    ``lease_expires_at`` is when the sweeper may take a running job for lost.
    """

    image = models.OneToOneField(Image, on_delete=models.PROTECT, related_name="job")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    manual_retries = models.PositiveSmallIntegerField(default=0)
    available_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=120, blank=True)
    code = models.CharField(max_length=60, blank=True)
    message = models.CharField(max_length=300, blank=True)

    row_security = Through("image")

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ("created_at",)
        indexes = (
            models.Index(
                fields=("available_at",),
                condition=models.Q(status="queued"),
                name="job_queued_by_available",
            ),
            models.Index(
                fields=("lease_expires_at",),
                condition=models.Q(status="running"),
                name="job_running_by_lease",
            ),
        )

    def __str__(self) -> str:
        return f"job {self.pk} {self.status}"

    @property
    def site_id(self) -> object:
        return self.image.study.site_id


class ResultQuerySet(models.QuerySet["Result"]):
    def visible_to(self, user: User | AnonymousUser) -> ResultQuerySet:
        return self.filter(_of_image(user))


class Result(BaseModel):
    """What one model version saw in one image. Written once, never changed.

    Probabilities are calibrated and sum to 1. ``heatmap`` is a name in private storage of an
    RGBA PNG to lay over the display rendition. ``evidence`` says how far the answer can be trusted
    (the classes not ruled out, the operating point, the shortcut meter; see ``ml.trust``), and is
    empty where nothing of the kind was fitted for the model. ``receipt`` holds the SHA-256 of
    input, weights and output and the preprocessing version, so that the answer can be recomputed.
    """

    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="results")
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="results"
    )
    label = models.CharField(max_length=12, choices=Label.choices)
    p_covid = models.FloatField()
    p_pneumonia = models.FloatField()
    p_normal = models.FloatField()
    heatmap = models.CharField(max_length=200)
    milliseconds = models.FloatField()
    runtime = models.CharField(max_length=20)
    evidence = models.JSONField(default=dict, blank=True)
    receipt = models.JSONField()

    row_security = Through("image")

    objects = ResultQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("image", "model_version"),
                name="result_once_per_image_and_model",
            ),
        )
        indexes = (models.Index(fields=("label", "image"), name="result_by_label"),)

    def __str__(self) -> str:
        return f"result {self.pk} {self.label}"

    @property
    def site_id(self) -> object:
        return self.image.study.site_id

    @property
    def probabilities(self) -> dict[str, float]:
        return {
            "covid": self.p_covid,
            "pneumonia": self.p_pneumonia,
            "normal": self.p_normal,
        }


class ShadowAnswerQuerySet(models.QuerySet["ShadowAnswer"]):
    def visible_to(self, user: User | AnonymousUser) -> ShadowAnswerQuerySet:
        """To whoever decides on models; never to those who read studies."""
        return self.filter(image__study__site__in=sites_where(user, Permission.MANAGE_MODELS))


class ShadowAnswer(BaseModel):
    """What a candidate in shadow makes of one image: work to be done, and then its outcome.

    Not a result: no page of a study shows it, and no status counts it. ``due_at`` is when the
    candidate may (again) be asked; whoever asks moves it on by compare-and-set on ``attempts``.
    ``called`` is the candidate's flag at its own operating point, empty for one without.
    """

    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="shadow_answers")
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="shadow_answers"
    )
    fingerprint = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    code = models.CharField(max_length=60, blank=True)
    label = models.CharField(max_length=12, choices=Label.choices, blank=True)
    p_covid = models.FloatField(null=True, blank=True)
    p_pneumonia = models.FloatField(null=True, blank=True)
    p_normal = models.FloatField(null=True, blank=True)
    called = models.BooleanField(null=True, blank=True)
    milliseconds = models.FloatField(null=True, blank=True)
    runtime = models.CharField(max_length=20, blank=True)
    evidence = models.JSONField(default=dict, blank=True)
    receipt = models.JSONField(default=dict, blank=True)

    row_security = Through("image")

    objects = ShadowAnswerQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("image", "fingerprint"), name="shadow_once_per_image_and_package"
            ),
        )
        indexes = (
            models.Index(
                fields=("due_at",), condition=models.Q(status="queued"), name="shadow_due"
            ),
            models.Index(fields=("fingerprint", "-created_at"), name="shadow_by_package"),
        )

    def __str__(self) -> str:
        return f"shadow answer {self.pk} {self.status}"

    @property
    def site_id(self) -> object:
        return self.image.study.site_id


class LoadFailure(BaseModel):
    """The last time that a worker could not use a version, and why; one row a version.

    Only a worker learns that files with the right hashes can't be loaded. The row says nothing any
    more once the version has answered again.
    """

    name = models.CharField(max_length=80, blank=True)
    version = models.CharField(max_length=40, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    code = models.CharField(max_length=60)
    failed_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("name", "version", "fingerprint"), name="load_failure_once_per_package"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.version}: {self.code}"
