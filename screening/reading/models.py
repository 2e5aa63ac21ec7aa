"""What clinicians make of studies: impressions, signed readings, addenda, second looks."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, sites_where, within_reach
from screening.core.models import BaseModel
from screening.core.row_rules import BySite, NotLimited, Through
from screening.studies.models import Image, Study


class Impression(models.TextChoices):
    """What a reader takes a study for. The first three are the classes that the model knows."""

    COVID = "covid", _("COVID-19")
    PNEUMONIA = "pneumonia", _("Pneumonia")
    NORMAL = "normal", _("Normal")
    OTHER = "other", _("Other finding")
    UNSURE = "unsure", _("Can’t tell")


class Stance(models.TextChoices):
    """How a signed reading stands to the AI's answer."""

    AGREES = "agrees", _("Agrees with the AI")
    OVERRIDES = "overrides", _("Overrides the AI")
    NO_ANSWER = "no_answer", _("The AI gave no answer")


class Verdict(models.TextChoices):
    """What a second look makes of a discrepancy."""

    READING = "reading", _("Agrees with the reading")
    AI = "ai", _("Agrees with the AI")
    UNCLEAR = "unclear", _("Unclear")


class BlindFirstSwitch(BaseModel):
    """One turn of a site's blind-first switch; the newest holds. Rows are never changed.

    ``created_at`` is the moment from which it holds. While it is on, the AI's answers to studies
    that have arrived *since then* stay hidden from each reader until the reader's own first
    impression is recorded or a reading of the study is signed.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="blind_first_switches")
    is_on = models.BooleanField()
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    row_security = NotLimited("No patient data; a switch that is not seen would show answers.")

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (models.Index(fields=("site", "-created_at"), name="blind_first_by_site"),)

    def __str__(self) -> str:
        return f"blind-first {'on' if self.is_on else 'off'} at {self.site_id}"


class ReadingQuerySet(models.QuerySet["Reading"]):
    def visible_to(self, user: User | AnonymousUser) -> ReadingQuerySet:
        """Signed readings of every study that ``user`` may view, and the user's own drafts."""
        rows = self.filter(
            within_reach(user, Permission.VIEW_STUDIES, site="site", patient="study__patient")
        )
        return rows.filter(Q(signed_at__isnull=False) | Q(reader_id=user.pk))

    def signed(self) -> ReadingQuerySet:
        return self.filter(signed_at__isnull=False)


class Reading(BaseModel):
    """What one person makes of one study: a draft until it is signed, then unchangeable.

    The first reading of a study to be signed is its reading of record; those signed later are
    second readings. ``site`` repeats the study's. ``version`` goes up with every save, and
    ``saved_from`` names the open page that saved last, so that two pages can't overwrite each
    other unseen. ``ai_*`` is the answer that stood beside the reading when it was signed:
    ``ai_label`` empty where there was none, ``ai_called`` empty where the model carries no
    operating point, ``ai_results`` the keys of the results.
    """

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="readings")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    reader = models.ForeignKey(User, on_delete=models.PROTECT, related_name="readings")
    version = models.PositiveIntegerField(default=1)
    saved_at = models.DateTimeField()
    saved_from = models.CharField(max_length=36, blank=True)
    impression = models.CharField(max_length=10, choices=Impression.choices, blank=True)
    text = models.TextField(blank=True)
    stance = models.CharField(max_length=10, choices=Stance.choices, blank=True)
    reason = models.TextField(blank=True)
    signed_at = models.DateTimeField(null=True, blank=True)
    of_record = models.BooleanField(default=False)
    ai_label = models.CharField(max_length=12, blank=True)
    ai_called = models.BooleanField(null=True, blank=True)
    ai_results = models.JSONField(default=list, blank=True)

    row_security = BySite(through="study")

    objects = ReadingQuerySet.as_manager()

    class Meta:
        ordering = ("created_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("study", "reader"), name="reading_once_per_study_and_reader"
            ),
            models.UniqueConstraint(
                fields=("study",), condition=Q(of_record=True), name="reading_one_of_record"
            ),
            models.CheckConstraint(
                condition=Q(signed_at__isnull=True) | ~Q(impression=""),
                name="reading_signed_with_impression",
            ),
            models.CheckConstraint(
                condition=Q(signed_at__isnull=True) | ~Q(stance="overrides") | ~Q(reason=""),
                name="reading_override_with_reason",
            ),
            models.CheckConstraint(
                condition=Q(of_record=False) | Q(signed_at__isnull=False),
                name="reading_of_record_is_signed",
            ),
        )
        indexes = (
            models.Index(
                fields=("site", "-signed_at", "-id"),
                condition=Q(signed_at__isnull=False),
                name="reading_signed_by_site",
            ),
            models.Index(fields=("reader", "-saved_at"), name="reading_by_reader"),
        )

    def __str__(self) -> str:
        return f"reading {self.pk} of study {self.study_id}"

    @property
    def is_signed(self) -> bool:
        return self.signed_at is not None


class FirstImpression(BaseModel):
    """What a reader took the study for before the AI's answer was shown. Never changed.

    There is one only where the answer was hidden from the reader at that moment. ``text`` is what
    the reader had written by then.
    """

    reading = models.OneToOneField(
        Reading, on_delete=models.PROTECT, related_name="first_impression"
    )
    impression = models.CharField(max_length=10, choices=Impression.choices)
    text = models.TextField(blank=True)

    row_security = Through("reading")

    def __str__(self) -> str:
        return f"first impression of reading {self.reading_id}"


class Addendum(BaseModel):
    """What was added to a signed reading, signed by whoever wrote it. Never changed."""

    reading = models.ForeignKey(Reading, on_delete=models.PROTECT, related_name="addenda")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()

    row_security = Through("reading")

    class Meta:
        ordering = ("created_at", "id")
        verbose_name_plural = "addenda"

    def __str__(self) -> str:
        return f"addendum to reading {self.reading_id}"


class DiscrepancyQuerySet(models.QuerySet["Discrepancy"]):
    def visible_to(self, user: User | AnonymousUser) -> DiscrepancyQuerySet:
        """The discrepancies of every site at which ``user`` may view studies."""
        return self.filter(site__in=sites_where(user, Permission.VIEW_STUDIES))


class Discrepancy(BaseModel):
    """A reading of record that disagrees with the AI, waiting for somebody else's look.

    ``by_class``: the impression is not the class the AI answered. ``by_flag``: the AI flagged the
    study and the reader does not say COVID-19, or the other way about. Resolved once, by somebody
    other than the reader, and not changed after that.
    """

    reading = models.OneToOneField(Reading, on_delete=models.PROTECT, related_name="discrepancy")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    by_class = models.BooleanField()
    by_flag = models.BooleanField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    verdict = models.CharField(max_length=10, choices=Verdict.choices, blank=True)
    note = models.TextField(blank=True)

    row_security = BySite(through="reading")

    objects = DiscrepancyQuerySet.as_manager()

    class Meta:
        ordering = ("created_at", "id")
        verbose_name_plural = "discrepancies"
        indexes = (
            models.Index(
                fields=("site", "created_at", "id"),
                condition=Q(resolved_at__isnull=True),
                name="discrepancy_open_by_site",
            ),
            models.Index(
                fields=("site", "-resolved_at", "-id"),
                condition=Q(resolved_at__isnull=False),
                name="discrepancy_resolved_by_site",
            ),
        )

    def __str__(self) -> str:
        return f"discrepancy of reading {self.reading_id}"


class MeasurementsQuerySet(models.QuerySet["Measurements"]):
    def visible_to(self, user: User | AnonymousUser) -> MeasurementsQuerySet:
        """The measurements on images of every study that ``user`` may view."""
        return self.filter(image__study__site__in=sites_where(user, Permission.VIEW_STUDIES))


class Measurements(BaseModel):
    """What one person has measured on one image: part of that person's reading of the study.

    ``items`` is what ``reading.measurements`` has checked. Signing the reading closes them:
    whoever changes them through ``reading.measurements`` is refused from then on.
    """

    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="measurements")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    items = models.JSONField(default=list, blank=True)

    row_security = Through("image")

    objects = MeasurementsQuerySet.as_manager()

    class Meta:
        ordering = ("created_at", "id")
        verbose_name_plural = "measurements"
        constraints = (
            models.UniqueConstraint(
                fields=("image", "author"), name="measurements_once_per_image_and_author"
            ),
        )

    def __str__(self) -> str:
        return f"measurements on image {self.image_id}"

    @property
    def site_id(self) -> object:
        return self.image.study.site_id
