"""What the reading panel shows: where a reader stands with a study, worked out for the template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from screening.accounts.policies import Permission, may
from screening.core.errors import PortalError
from screening.inference.models import Label
from screening.reading.answers import Answer, answer_of
from screening.reading.measurements import Measured, measured_by
from screening.reading.models import Discrepancy, Impression, Reading, Stance, Verdict
from screening.reading.selectors import answer_hidden, reading_of, signed_readings
from screening.reading.services import Draft, DraftOvertaken
from screening.studies.models import OPEN_STATUSES, Image, Study

if TYPE_CHECKING:
    from screening.accounts.models import User


@dataclass(frozen=True)
class Choice:
    """One of the big buttons: ``key`` is the number on the keyboard."""

    value: str
    name: str
    key: int
    is_chosen: bool


@dataclass(frozen=True)
class Panel:
    """The panel for one person. ``answer`` is None while hidden, and where there is none.

    ``draft`` is what the form shows: what was entered and could not be kept, else what is saved.
    ``page`` names this open page, so that its saves are told from another page's. ``measured`` is
    what the person has measured in the viewer and will sign along with the reading.
    """

    study: Study
    hidden: bool
    is_open: bool
    may_write: bool
    own: Reading | None
    signed: list[Reading]
    answer: Answer | None
    draft: Draft
    page: str
    measured: list[tuple[Image, list[Measured]]]
    problem: PortalError | None = None

    @property
    def step(self) -> str:
        """``none`` (may only look), ``first`` impression, ``final`` impression, or ``signed``."""
        if not self.may_write:
            return "none"
        if self.own is not None and self.own.is_signed:
            return "signed"
        return "first" if self.hidden else "final"

    @property
    def version(self) -> int:
        return self.own.version if self.own is not None else 0

    @property
    def saved(self) -> Reading | None:
        """What another page has saved meanwhile, where that was the problem."""
        return self.problem.saved if isinstance(self.problem, DraftOvertaken) else None

    @property
    def choices(self) -> list[Choice]:
        return [
            Choice(one.value, str(one.label), number, one.value == self.draft.impression)
            for number, one in enumerate(Impression, start=1)
        ]

    @property
    def stances(self) -> list[tuple[str, str, bool]]:
        return [
            (one.value, str(one.label), one.value == self.draft.stance)
            for one in (Stance.AGREES, Stance.OVERRIDES)
        ]

    @property
    def answer_name(self) -> str:
        return str(Label(self.answer.label).label) if self.answer else ""

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        return [(one.value, str(one.label)) for one in Verdict]

    @property
    def discrepancy(self) -> Discrepancy | None:
        """Of the reading of record, where it disagrees with the AI."""
        for reading in self.signed:
            if reading.of_record:
                return getattr(reading, "discrepancy", None)
        return None

    @property
    def may_resolve(self) -> bool:
        found = self.discrepancy
        return (
            found is not None
            and found.resolved_at is None
            and self.may_write
            and not any(one.of_record and one == self.own for one in self.signed)
        )


def panel_for(
    user: User,
    study: Study,
    *,
    entered: Draft | None = None,
    page: str = "",
    problem: PortalError | None = None,
) -> Panel:
    """The panel of ``study`` for ``user``, who may see the study."""
    hidden = answer_hidden(user, study)
    own = reading_of(user, study)
    saved = Draft(own.impression, own.text, own.stance, own.reason) if own else Draft()
    return Panel(
        study=study,
        hidden=hidden,
        is_open=study.status in OPEN_STATUSES,
        may_write=may(user, Permission.WRITE_READINGS, study.site_id),
        own=own,
        signed=signed_readings(user, study),
        answer=None if hidden else answer_of(study),
        draft=entered or saved,
        page=page or str(uuid4()),
        measured=measured_by(user.pk, study.pk),
        problem=problem,
    )
