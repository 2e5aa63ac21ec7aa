"""The record of who did, or looked at, what."""

from __future__ import annotations

from django.db import models


class Outcome(models.TextChoices):
    OK = "ok", "done"
    DENIED = "denied", "denied"
    FAILED = "failed", "failed"


class Event(models.Model):
    """One act: a write, a read of patient data, a denial, a log-in.

    Rows are append-only: database triggers (``screening.audit.triggers``) refuse UPDATE and
    DELETE. Nothing here is a foreign key, so that removing a user or a patient can neither
    cascade into the record nor be blocked by it. ``detail`` holds no patient data.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(auto_now_add=True)
    site_id = models.UUIDField(null=True)
    actor_id = models.UUIDField(null=True)
    actor_name = models.CharField(max_length=150, blank=True)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=40, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.OK)
    request_id = models.CharField(max_length=64, blank=True)
    remote_addr = models.GenericIPAddressField(null=True)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("object_type", "object_id", "-id"), name="audit_by_object"),
            models.Index(fields=("actor_id", "-id"), name="audit_by_actor"),
            models.Index(fields=("site_id", "-id"), name="audit_by_site"),
        )

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.action} {self.outcome}"
