"""The record of who did, or looked at, what; and the chain that holds it together."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from django.db import models
from django.db.models import Q
from django.utils import timezone

from screening.audit.canonical import FIELDS, digest_of

NO_SITE = UUID(int=0)
"""The chain of events that belong to no site."""

BEFORE_THE_FIRST = "0" * 64
"""What the first event of a chain is chained to."""


class Outcome(models.TextChoices):
    OK = "ok", "done"
    DENIED = "denied", "denied"
    FAILED = "failed", "failed"


class Event(models.Model):
    """One act: a write, a read of patient data, a denial, a log-in.

    Rows are append-only: database triggers (``screening.audit.triggers``) refuse UPDATE, DELETE
    and TRUNCATE. Nothing here is a foreign key, so that removing a user or a patient can neither
    cascade into the record nor be blocked by it. ``detail`` holds no patient data.

    ``token_id`` is the API token with which the actor came, and ``owner_id`` who answers for it
    where the actor is a device's account.
    ``patient_id`` is whom the act is about, also where its object is an image or a report.
    ``digest`` is the fingerprint of all the rest but ``id`` (``screening.audit.canonical``).
    """

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(default=uuid4, editable=False)
    at = models.DateTimeField(default=timezone.now)
    site_id = models.UUIDField(null=True)
    actor_id = models.UUIDField(null=True)
    actor_name = models.CharField(max_length=150, blank=True)
    token_id = models.UUIDField(null=True)
    owner_id = models.UUIDField(null=True)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=40, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    patient_id = models.UUIDField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.OK)
    request_id = models.CharField(max_length=64, blank=True)
    remote_addr = models.GenericIPAddressField(null=True)
    detail = models.JSONField(default=dict, blank=True)
    digest = models.CharField(max_length=64)

    # Under the role of web requests (``core.row_policies``). The chain is written by triggers
    # with the rights of their owner.
    web_rights = {
        "audit_event": "SELECT, INSERT",
        "audit_link": "SELECT",
        "audit_pending": "",
        "audit_check": "SELECT",
    }

    class Meta:
        ordering = ("-id",)
        constraints = (models.CheckConstraint(condition=~Q(digest=""), name="audit_has_digest"),)
        # Every search of the record ends in a range of one of these, read from its newer end.
        indexes = (
            models.Index(fields=("object_type", "object_id", "-id"), name="audit_by_object"),
            models.Index(fields=("actor_id", "-id"), name="audit_by_actor"),
            models.Index(fields=("site_id", "-id"), name="audit_by_site"),
            models.Index(fields=("site_id", "action", "-id"), name="audit_by_action"),
            models.Index(
                fields=("patient_id", "-id"),
                condition=Q(patient_id__isnull=False),
                name="audit_by_patient",
            ),
            models.Index(
                fields=("site_id", "-id"), condition=~Q(outcome="ok"), name="audit_not_done"
            ),
            models.Index(
                fields=("request_id",), condition=~Q(request_id=""), name="audit_by_request"
            ),
            models.Index(fields=("at",), name="audit_by_time"),
        )

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.action} {self.outcome}"

    def values(self) -> list[Any]:
        """What the event says, in the order of ``canonical.FIELDS``."""
        return [getattr(self, name) for name in FIELDS]

    def seal(self) -> None:
        """Set the digest; nothing may be changed afterwards."""
        self.digest = digest_of(self.values())


class Link(models.Model):
    """The place of one event in the chain of its site.

    ``hash`` is SHA-256 over ``previous``, the hash of the place before, and the event's digest.
    The database fills this table itself, at the commit of what the event records
    (``audit.triggers``).
    """

    event_id = models.BigIntegerField(primary_key=True)
    chain = models.UUIDField()
    sequence = models.BigIntegerField()
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ("chain", "sequence")
        constraints = (
            models.UniqueConstraint(fields=("chain", "sequence"), name="audit_one_at_each_place"),
        )

    def __str__(self) -> str:
        return f"{self.chain} {self.sequence}"


class Check(models.Model):
    """One run of the verification (``screening.audit.verification``), and what it found.

    ``findings`` is a list of ``Finding.as_json``; empty when all is as it was written. ``places``
    says up to where each chain has been read, so that a long run can be done in parts, and the
    next quick one begins there. ``full`` runs begin at the first event.
    """

    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    full = models.BooleanField()
    events = models.BigIntegerField(default=0)
    findings = models.JSONField(default=list)
    places = models.JSONField(default=dict)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} {'broken' if self.findings else 'intact'}"
