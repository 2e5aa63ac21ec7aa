"""Human alone, AI alone, and human with AI, against what patients turned out to have.

Counted are signed readings of studies with an answer of the AI and a diagnosis that was confirmed
*after* the signature: whoever knew the truth has not been tested by it. "Human
alone" is the first impression, recorded while the answer was hidden; "AI alone" the class that
stood beside the reading when it was signed; "human with AI" the impression that was signed. The
three are compared on the same readings.

"Can't tell" is wrong whatever the truth: leaving it out would flatter whoever shuns hard cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import User
from screening.accounts.policies import Permission, sites_where
from screening.governance.shares import Share
from screening.reading.models import Impression, Reading
from screening.reading.statistics import mcnemar_exact
from screening.studies.models import ConfirmedDiagnosis, Diagnosis

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

TOO_FEW = 20
"""Patients with, or without, the disease below which the page says that the numbers say little."""


@dataclass(frozen=True)
class Tally:
    """How many readings ended alike: the first and the final impression, the AI's class, the truth.

    ``first`` is empty for readings that were not made blind.
    """

    first: str
    ai: str
    final: str
    truth: str
    count: int


@dataclass(frozen=True)
class Target:
    """What is looked for: which diagnoses have it, and which impressions or classes say so."""

    key: str
    name: Promise
    diagnoses: frozenset[str]
    impressions: frozenset[str]

    def is_right(self, said: str, truth: str) -> bool:
        if said == Impression.UNSURE:
            return False
        return (said in self.impressions) == (truth in self.diagnoses)


_NOT_NORMAL = frozenset({Impression.COVID, Impression.PNEUMONIA, Impression.OTHER})

TARGETS = (
    Target("covid", _("COVID-19"), frozenset({Diagnosis.COVID}), frozenset({Impression.COVID})),
    Target(
        "pneumonia",
        _("Pneumonia, not COVID-19"),
        frozenset({Diagnosis.PNEUMONIA}),
        frozenset({Impression.PNEUMONIA}),
    ),
    Target(
        "abnormal",
        _("Anything abnormal"),
        frozenset({Diagnosis.COVID, Diagnosis.PNEUMONIA, Diagnosis.OTHER}),
        frozenset(map(str, _NOT_NORMAL)),
    ),
)

ARMS: tuple[tuple[str, Promise, Callable[[Tally], str]], ...] = (
    ("human", _("Human alone"), lambda tally: tally.first),
    ("ai", _("AI alone"), lambda tally: tally.ai),
    ("both", _("Human with AI"), lambda tally: tally.final),
)


@dataclass(frozen=True)
class Arm:
    """How one of the three did for one target."""

    key: str
    name: Promise
    sensitivity: Share
    specificity: Share


@dataclass(frozen=True)
class ChangedMinds:
    """First against final impression, right or wrong for one target."""

    both_right: int
    better: int
    worse: int
    both_wrong: int

    @property
    def p(self) -> float:
        return mcnemar_exact(self.better, self.worse)


@dataclass(frozen=True)
class Comparison:
    """One target: the arms, and how often the AI changed a mind (blind readings only)."""

    target: Target
    positives: int
    negatives: int
    arms: tuple[Arm, ...]
    minds: ChangedMinds | None

    @property
    def is_thin(self) -> bool:
        """Too few patients with or without the disease for the figures to say much."""
        return min(self.positives, self.negatives) < TOO_FEW


@dataclass(frozen=True)
class Figures:
    """Everything said of one set of readings.

    ``changed`` counts blind readings whose final impression is not the first, with or without a
    confirmed diagnosis; ``blind`` all blind readings with an answer.
    """

    compared: tuple[Comparison, ...]
    readings: int
    blind: int
    changed: int


@dataclass(frozen=True)
class Scope:
    """Whose readings are looked at: ``key`` is ``mine``, ``all`` or a reader's key."""

    key: str
    name: str


def scopes_for(user: User) -> list[Scope]:
    """What ``user`` may look at: the own readings, and for admins everybody's."""
    found = [Scope("mine", str(_("My readings")))]
    sites = sites_where(user, Permission.COMPARE_READERS)
    if sites.exists():
        found.append(Scope("all", str(_("All readings of record"))))
        readers = User.objects.filter(
            pk__in=Reading.objects.signed().filter(site__in=sites).values("reader")
        ).exclude(pk=user.pk)
        found += [Scope(str(one.pk), str(one)) for one in readers.order_by("username")]
    return found


def figures_for(user: User, scope: Scope) -> tuple[Figures, Figures]:
    """Of the readings of ``scope``, one of ``scopes_for(user)``: those made blind, and all."""
    rows = _rows_of(user, scope)
    tallies = _tallies(rows)
    blind = rows.filter(first_impression__isnull=False).exclude(ai_label="")
    counted = _changed(blind)
    blind_figures = _figures([one for one in tallies if one.first], blind=True, counted=counted)
    return blind_figures, _figures(tallies, blind=False, counted=counted)


def compare(tallies: Iterable[Tally], target: Target, *, blind: bool) -> Comparison:
    """The arms for one target; without a blind first impression there is no human alone."""
    found = list(tallies)
    positives = sum(one.count for one in found if one.truth in target.diagnoses)
    negatives = sum(one.count for one in found) - positives

    def arm(key: str, name: Promise, said: Callable[[Tally], str]) -> Arm:
        right = [one for one in found if target.is_right(said(one), one.truth)]
        hits = sum(one.count for one in right if one.truth in target.diagnoses)
        cleared = sum(one.count for one in right) - hits
        return Arm(key, name, Share(hits, positives), Share(cleared, negatives))

    return Comparison(
        target=target,
        positives=positives,
        negatives=negatives,
        arms=tuple(arm(*one) for one in ARMS if blind or one[0] != "human"),
        minds=_minds(found, target) if blind else None,
    )


def _minds(tallies: list[Tally], target: Target) -> ChangedMinds:
    counts = {(was, now): 0 for was in (True, False) for now in (True, False)}
    for one in tallies:
        pair = target.is_right(one.first, one.truth), target.is_right(one.final, one.truth)
        counts[pair] += one.count
    return ChangedMinds(
        both_right=counts[True, True],
        better=counts[False, True],
        worse=counts[True, False],
        both_wrong=counts[False, False],
    )


def _figures(tallies: list[Tally], *, blind: bool, counted: tuple[int, int]) -> Figures:
    return Figures(
        compared=tuple(compare(tallies, target, blind=blind) for target in TARGETS),
        readings=sum(one.count for one in tallies),
        blind=counted[0],
        changed=counted[1],
    )


def _rows_of(user: User | AnonymousUser, scope: Scope) -> QuerySet[Reading]:
    rows = Reading.objects.visible_to(user).signed()
    if scope.key == "mine":
        return rows.filter(reader_id=user.pk)
    rows = rows.filter(site__in=sites_where(user, Permission.COMPARE_READERS))
    if scope.key == "all":
        return rows.filter(of_record=True)
    return rows.filter(reader_id=UUID(scope.key))


def _tallies(rows: QuerySet[Reading]) -> list[Tally]:
    """The readings that can be judged, counted by the database."""
    known_before = ConfirmedDiagnosis.objects.filter(
        study=OuterRef("study"), recorded_at__lte=OuterRef("signed_at")
    )
    judged = rows.exclude(ai_label="").filter(
        ~Exists(known_before),
        study__diagnoses__isnull=False,
        study__diagnoses__superseded_at__isnull=True,
    )
    counted = (
        judged.order_by()
        .values_list(
            "first_impression__impression", "ai_label", "impression", "study__diagnoses__label"
        )
        .annotate(count=Count("pk"))
    )
    return [Tally(first or "", *rest) for first, *rest in counted]


def _changed(blind: QuerySet[Reading]) -> tuple[int, int]:
    differs = ~Q(impression=F("first_impression__impression"))
    counts = blind.aggregate(all=Count("pk"), changed=Count("pk", filter=differs))
    return counts["all"], counts["changed"]
