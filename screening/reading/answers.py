"""The AI's answer to a whole study, and how a reader's impression stands to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import UUID

from screening.inference.models import Result
from screening.inference.selectors import latest_result
from screening.reading.models import Impression, Stance
from screening.studies.models import Study


@dataclass(frozen=True)
class Answer:
    """What the newest results of a study's images say of it together.

    ``label`` is that of the image least like normal (the smallest share of ``normal``): a study
    is as abnormal as its most abnormal image. ``called`` is the AI's flag: whether any image
    reaches the COVID-19 operating point; None where no result carries one.
    """

    label: str
    called: bool | None
    results: tuple[UUID, ...]

    @property
    def key(self) -> str:
        """A short text that changes when the answer does: what a page shows and sends back."""
        return hashlib.sha256(" ".join(map(str, self.results)).encode()).hexdigest()[:16]


def answer_of(study: Study) -> Answer | None:
    """The answer as it stands; two queries where results were not fetched along."""
    found = [latest_result(image) for image in study.images.all()]
    results = sorted((one for one in found if one is not None), key=lambda one: str(one.pk))
    if not results:
        return None
    called = [flag for flag in map(_called, results) if flag is not None]
    return Answer(
        label=min(results, key=lambda one: (one.p_normal, str(one.pk))).label,
        called=any(called) if called else None,
        results=tuple(one.pk for one in results),
    )


def _called(result: Result) -> bool | None:
    point = result.evidence.get("operating_point")
    return bool(point["called"]) if point else None


def stances_open_to(impression: str, answer: Answer | None) -> tuple[Stance, ...]:
    """The stances that ``impression`` leaves open; mostly one, which the reader confirms.

    A reader who can't tell neither agrees nor contradicts by the impression alone and has to
    say. "Other" contradicts every answer: the model knows no other disease.
    """
    if answer is None:
        return (Stance.NO_ANSWER,)
    if impression == Impression.UNSURE:
        return (Stance.AGREES, Stance.OVERRIDES)
    return (Stance.AGREES,) if impression == answer.label else (Stance.OVERRIDES,)


def disagreement(impression: str, stance: str, called: bool | None) -> tuple[bool, bool]:
    """Whether a signed reading disagrees with the AI's class, and with its flag.

    By class: the reader overrides. By flag: the study was flagged and the reader does not say
    COVID-19 (not even "can't tell" clears a flag), or the reader says so and it was not.
    """
    by_flag = called is not None and called != (impression == Impression.COVID)
    return stance == Stance.OVERRIDES, by_flag
