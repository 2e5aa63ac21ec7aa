"""What the worklist keeps: the unread studies, who has which in hand, and word of what happened."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, sites_where
from screening.core.models import BaseModel
from screening.core.row_rules import BySite
from screening.patients.models import Patient
from screening.studies.models import Status, Study

OPEN = Q(closed_at__isnull=True)


class Order(models.TextChoices):
    """The rules between which a site's administrator chooses."""

    ARRIVAL = "arrival", _("In the order of arrival")
    FLAGS_FIRST = "flags_first", _("Flagged by the AI first, with a cap on the wait of the others")


class Rule(BaseModel):
    """How one site works through its list. A site without a row goes by the defaults.

    ``cap_minutes`` is by how much a flagged study is put forward: it overtakes what arrived less
    than that before it, and nothing older. ``idle_minutes`` is how long a claim lasts without a
    sign of its holder.
    """

    site = models.OneToOneField(Site, on_delete=models.CASCADE, related_name="worklist_rule")
    order = models.CharField(max_length=12, choices=Order.choices, default=Order.ARRIVAL)
    cap_minutes = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(5), MaxValueValidator(7 * 24 * 60)]
    )
    idle_minutes = models.PositiveIntegerField(
        default=15, validators=[MinValueValidator(2), MaxValueValidator(8 * 60)]
    )

    row_security = BySite()

    def __str__(self) -> str:
        return f"worklist rule of {self.site_id}"

    @property
    def cap(self) -> timedelta:
        return timedelta(minutes=self.cap_minutes)

    @property
    def idle(self) -> timedelta:
        return timedelta(minutes=self.idle_minutes)


class EntryQuerySet(models.QuerySet["Entry"]):
    def visible_to(self, user: User | AnonymousUser) -> EntryQuerySet:
        """The entries of every site at which ``user`` may view studies."""
        return self.filter(site__in=sites_where(user, Permission.VIEW_STUDIES))

    def unread(self) -> EntryQuerySet:
        return self.filter(OPEN)


class Entry(models.Model):
    """One study on the worklist of its site; ``closed_at`` is set once a reading is signed.

    ``site``, ``patient``, ``status`` and ``arrived_at`` repeat the study's, so that a page is read
    from one index; ``worklist.upkeep`` keeps them equal in the study's own transaction. ``flagged``
    says that the newest result of one of its images calls COVID-19 at the operating point.

    A claim ("I'm reading this") holds while ``claimed_until`` lies ahead and is moved by
    compare-and-set only. It is a courtesy between colleagues, no lock: it closes nothing.
    """

    study = models.OneToOneField(
        Study, on_delete=models.CASCADE, primary_key=True, related_name="worklist_entry"
    )
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+", db_index=False)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="+", db_index=False)
    status = models.CharField(max_length=10, choices=Status.choices)
    arrived_at = models.DateTimeField()
    flagged = models.BooleanField(default=False)
    flagged_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, related_name="+", null=True, blank=True, db_index=False
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    assigned_to = models.ForeignKey(
        User, on_delete=models.SET_NULL, related_name="+", null=True, blank=True, db_index=False
    )
    closed_at = models.DateTimeField(null=True, blank=True)

    row_security = BySite()

    objects = EntryQuerySet.as_manager()

    class Meta:
        ordering = ("arrived_at", "study_id")
        verbose_name_plural = "entries"
        # Partial, so that they stay as small as the pile of unread studies is, whatever was read.
        indexes = (
            models.Index(
                fields=("site", "arrived_at", "study"), condition=OPEN, name="worklist_by_arrival"
            ),
            models.Index(
                fields=("site", "flagged", "arrived_at", "study"),
                condition=OPEN,
                name="worklist_by_flag",
            ),
            # Most studies are analysed; whoever asks for the others finds them in their order.
            models.Index(
                fields=("site", "arrived_at", "study"),
                condition=OPEN & ~Q(status=Status.DONE),
                name="worklist_not_analysed",
            ),
            # What failed was mostly never flagged: that run of the list is found empty at once.
            models.Index(
                fields=("site", "flagged", "arrived_at", "study"),
                condition=OPEN & ~Q(status=Status.DONE),
                name="worklist_not_analysed_flag",
            ),
            models.Index(
                fields=("claimed_by", "arrived_at"),
                condition=OPEN & Q(claimed_by__isnull=False),
                name="worklist_by_claim",
            ),
            models.Index(
                fields=("assigned_to", "arrived_at"),
                condition=OPEN & Q(assigned_to__isnull=False),
                name="worklist_by_assignee",
            ),
            models.Index(
                fields=("patient", "arrived_at"), condition=OPEN, name="worklist_by_patient"
            ),
        )

    def __str__(self) -> str:
        return f"worklist entry {self.pk}"


class SavedView(BaseModel):
    """A person's own name for a filter. Never holds what was searched for: that names patients."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="worklist_views")
    name = models.CharField(max_length=40)
    query = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("user", "name"), name="worklist_view_name_once"),
        )

    def __str__(self) -> str:
        return self.name


class Kind(models.TextChoices):
    """What a notification tells: of a study, or of something at the person's site."""

    DONE = "done", _("The analysis is done")
    FAILED = "failed", _("The analysis failed")
    REFUSED = "refused", _("The quality check refused it")
    ASSIGNED = "assigned", _("Assigned to you")
    EMERGENCY = "emergency", _("A record was opened in an emergency")
    AUDIT = "audit", _("The audit is not as it was written")


class Mail(models.TextChoices):
    """Whether a notification also goes out as a letter, and how far that has come."""

    NONE = "none", "not wanted"
    DUE = "due", "due"
    SENDING = "sending", "being sent"
    SENT = "sent", "sent"
    FAILED = "failed", "given up"


class NotificationQuerySet(models.QuerySet["Notification"]):
    def visible_to(self, user: User | AnonymousUser) -> NotificationQuerySet:
        """A person's own, of sites where studies may still be viewed."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(user=user, site__in=sites_where(user, Permission.VIEW_STUDIES))


class Notification(BaseModel):
    """One thing that one person is told of one study. Told again, it moves to the top, unread.

    An emergency, and a broken audit, is told of without a study, and each time anew.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notifications")
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="+", db_index=False)
    study = models.ForeignKey(
        Study, on_delete=models.CASCADE, related_name="+", null=True, blank=True
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    caused_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, related_name="+", null=True, blank=True, db_index=False
    )
    at = models.DateTimeField()
    read_at = models.DateTimeField(null=True, blank=True)
    mail = models.CharField(max_length=8, choices=Mail.choices, default=Mail.NONE)
    mail_attempts = models.PositiveSmallIntegerField(default=0)
    mail_after = models.DateTimeField(null=True, blank=True)

    row_security = BySite()

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = ("-at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("user", "study", "kind"), name="notification_once_per_study_and_kind"
            ),
        )
        indexes = (
            models.Index(fields=("user", "-at", "-id"), name="notification_newest"),
            models.Index(
                fields=("user",), condition=Q(read_at__isnull=True), name="notification_unread"
            ),
            models.Index(
                fields=("mail_after",),
                condition=Q(mail__in=("due", "sending")),
                name="notification_mail_due",
            ),
        )

    def __str__(self) -> str:
        return f"notification {self.pk} {self.kind}"


class MailWishes(BaseModel):
    """Which notifications a person wants as letters too; none unless asked for."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mail_wishes"
    )
    done = models.BooleanField(_("A study that I sent is done"), default=False)
    stuck = models.BooleanField(_("A study that I sent failed or was refused"), default=False)
    assigned = models.BooleanField(_("A study was assigned to me"), default=False)

    def __str__(self) -> str:
        return f"mail wishes of {self.user_id}"

    def wants(self, kind: str) -> bool:
        wishes = {
            Kind.DONE: self.done,
            Kind.ASSIGNED: self.assigned,
            Kind.EMERGENCY: False,
            Kind.AUDIT: False,
        }
        return wishes.get(Kind(kind), self.stuck)
