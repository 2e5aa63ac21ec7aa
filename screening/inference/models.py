"""The AI's work on images: what is to be done, what came out, and by which model."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models

from screening.accounts.models import User
from screening.accounts.policies import Permission, sites_where
from screening.core.models import BaseModel
from screening.studies.models import Image, Status


class Label(models.TextChoices):
    COVID = "covid", "COVID-19"
    PNEUMONIA = "pneumonia", "Pneumonia"
    NORMAL = "normal", "Normal"


class ModelVersion(BaseModel):
    """One released model package that has produced a result here."""

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


class JobQuerySet(models.QuerySet["Job"]):
    def visible_to(self, user: User | AnonymousUser) -> JobQuerySet:
        return self.filter(image__study__site__in=sites_where(user, Permission.VIEW_STUDIES))


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
        return self.filter(image__study__site__in=sites_where(user, Permission.VIEW_STUDIES))


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
