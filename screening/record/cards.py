"""What the pages show of a study and its images, worked out once so that templates stay plain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext as _

from screening.inference.models import Job, Label, Result
from screening.inference.selectors import job_of, latest_result
from screening.reading.selectors import answers_hidden
from screening.studies.models import OPEN_STATUSES, Image, Status, Study

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from screening.accounts.models import User

# Below this share no class stands out, and the page says so in words.
UNSURE_BELOW = 0.6

_STATUS_LETTERS = {
    Status.QUEUED: "q",
    Status.RUNNING: "r",
    Status.DONE: "d",
    Status.FAILED: "f",
    Status.REFUSED: "x",
}


@dataclass(frozen=True)
class Bar:
    """One class of a result: its name, its calibrated share, and whether it is the largest."""

    label: str
    name: str
    share: float
    is_top: bool


@dataclass(frozen=True)
class Trustworthiness:
    """How far an answer can be trusted, in words and numbers a page can show.

    ``others`` are the names of the classes that can't be ruled out besides the answer;
    ``coverage`` is how often such sets hold the true class on pictures like those the model was
    fitted on. ``verdict`` is the shortcut meter's: reliable, unreliable or unknown.
    """

    others: list[str]
    none_fits: bool
    coverage: float
    verdict: str
    sentence: str
    evidence_in_lungs: float | None
    lung_area: float | None
    called: bool
    threshold: float
    sensitivity: float
    specificity: float
    chosen_by: str
    """Who chose the operating point for the site; empty where it is the model's own."""
    chosen_at: datetime | None
    caution: str
    unfamiliar: bool
    """Whether the picture is unlike the films that the model has learnt from."""

    @property
    def is_uncertain(self) -> bool:
        return self.none_fits or bool(self.others)


@dataclass(frozen=True)
class ImageCard:
    """One image with the newest answer of the model, if there is one that may be shown.

    ``hidden`` says that the answer, whether there is one or not, must not be shown to the person
    whom the card is for: ``result`` is None then, and so nothing drawn from the card can tell.
    """

    image: Image
    job: Job | None
    result: Result | None
    hidden: bool = False

    @property
    def status(self) -> str:
        return self.image.status

    @property
    def is_open(self) -> bool:
        return self.image.status in OPEN_STATUSES

    @property
    def name(self) -> str:
        """What the sender called the file; DICOM exports often call it nothing."""
        return self.image.original_name or _("Unnamed image")

    @property
    def bars(self) -> list[Bar]:
        """The classes in a fixed order, so that the eye finds each at the same place."""
        if self.result is None:
            return []
        shares = self.result.probabilities
        return [
            Bar(label.value, str(label.label), shares[label.value], label == self.result.label)
            for label in Label
        ]

    @property
    def top_share(self) -> float:
        return self.result.probabilities[self.result.label] if self.result else 0.0

    @property
    def is_unsure(self) -> bool:
        return self.result is not None and self.top_share < UNSURE_BELOW

    @property
    def trust(self) -> Trustworthiness | None:
        """``None`` for an answer of a model that carries nothing of the kind."""
        if self.result is None or not self.result.evidence:
            return None
        evidence = self.result.evidence
        shortcut, point = evidence["shortcut"], evidence["operating_point"]
        origin = point.get("origin") or {}
        possible = evidence["prediction_set"]
        caution = evidence.get("caution") or {}
        return Trustworthiness(
            others=[str(Label(name).label) for name in possible if name != self.result.label],
            none_fits=not possible,
            coverage=evidence["coverage"],
            verdict=shortcut["verdict"],
            sentence=shortcut["sentence"],
            evidence_in_lungs=shortcut["evidence_in_lungs"],
            lung_area=shortcut["lung_area"],
            called=point["called"],
            threshold=point["threshold"],
            sensitivity=point["sensitivity"],
            specificity=point["specificity"],
            chosen_by=origin.get("by", ""),
            chosen_at=datetime.fromisoformat(origin["at"]) if origin else None,
            caution=caution.get("message", ""),
            unfamiliar=caution.get("code") == "unfamiliar",
        )

    @property
    def doubt(self) -> str:
        """The word that stands beside the answer in lists, empty where there is no doubt."""
        trust = self.trust
        if trust is None:
            return _("Not sure") if self.is_unsure else ""
        if trust.verdict == "unreliable":
            return _("Unreliable")
        if trust.unfamiliar:
            return _("Unfamiliar")
        return _("Uncertain") if trust.is_uncertain else ""

    @property
    def waited_s(self) -> float:
        """Seconds from the arrival of the image to its result."""
        if self.result is None:
            return 0.0
        return max((self.result.created_at - self.image.created_at).total_seconds(), 0.0)


@dataclass(frozen=True)
class StudyCard:
    """A study with its images, ready for a page."""

    study: Study
    images: list[ImageCard] = field(default_factory=list)
    hidden: bool = False

    @cached_property
    def is_open(self) -> bool:
        return self.study.status in OPEN_STATUSES or any(card.is_open for card in self.images)

    @cached_property
    def state(self) -> str:
        """A short text that changes whenever something to be seen changes.

        The study's letter, a dot, and one letter for each image in order: ``r.dq``. A page sends
        it back when it asks for news, and gets only what is new.
        """
        letters = "".join(_STATUS_LETTERS[Status(card.status)] for card in self.images)
        return f"{_STATUS_LETTERS[Status(self.study.status)]}.{letters}"

    def news_since(self, seen: str) -> tuple[list[ImageCard], list[ImageCard]]:
        """The images that have changed since ``seen``, and those that were not there yet."""
        known = seen.partition(".")[2]
        now = self.state.partition(".")[2]
        changed = [
            card
            for card, then, letter in zip(self.images, known, now, strict=False)
            if then != letter
        ]
        return changed, self.images[len(known) :]

    def poll_every(self, now: datetime | None = None) -> str:
        """How often a page should ask for news: eagerly at first, then ever more patiently."""
        newest = max(
            (card.job.available_at if card.job else card.image.created_at for card in self.images),
            default=self.study.created_at,
        )
        waited = (now or timezone.now()) - newest
        if waited < timedelta(minutes=1):
            return "700ms"
        return "3s" if waited < timedelta(minutes=10) else "15s"

    @property
    def summary(self) -> str:
        """One sentence for people who hear the page instead of seeing it."""
        parts = [
            f"{card.name}: {card.result.get_label_display()}, {card.top_share:.0%}"
            if card.result is not None
            else f"{card.name}: {card.image.get_status_display().lower()}"
            for card in self.images
        ]
        return ". ".join(parts)


def card_of(image: Image, *, hidden: bool) -> ImageCard:
    """The card of an image whose ``job`` and ``results`` were fetched along with it."""
    result = latest_result(image) if image.status == Status.DONE and not hidden else None
    return ImageCard(image=image, job=job_of(image), result=result, hidden=hidden)


def card_of_study(study: Study, *, hidden: bool) -> StudyCard:
    """The card of a study; ``hidden`` as ``reading.selectors.answers_hidden`` has it."""
    images = [card_of(image, hidden=hidden) for image in study.images.all()]
    return StudyCard(study=study, images=images, hidden=hidden)


def cards_for(user: User | AnonymousUser, studies: Iterable[Study]) -> list[StudyCard]:
    """The cards of ``studies`` as ``user`` may see them; the only way to make a list of cards."""
    found = list(studies)
    hidden = answers_hidden(user, found)
    return [card_of_study(study, hidden=study.pk in hidden) for study in found]
