"""The life of a reading: drafted, first impression, revealed, signed, added to.

A draft is saved by compare-and-set: a save names the version it started from, and finds that it
was overtaken when another page has saved since. The page that saved last may always save again,
so that an answer lost on the way does not lock it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.reading.answers import Answer, answer_of, disagreement, stances_open_to
from screening.reading.models import (
    Addendum,
    Discrepancy,
    FirstImpression,
    Impression,
    Reading,
    Stance,
)
from screening.reading.selectors import answer_hidden
from screening.reading.signals import reading_signed
from screening.studies.models import OPEN_STATUSES, Study

TEXT_LENGTH = 20_000
REASON_LENGTH = 2_000


@dataclass(frozen=True)
class Draft:
    """What a reader has filled in so far. Every part may be empty until it is signed."""

    impression: str = ""
    text: str = ""
    stance: str = ""
    reason: str = ""


class DraftOvertaken(Conflict):
    """Another page saved this draft since this one was opened; ``saved`` is what it holds now."""

    code = "draft_overtaken"

    def __init__(self, saved: Reading) -> None:
        super().__init__(
            _(
                "This draft was saved from another page at %(time)s. "
                "What you have entered here has not been saved."
            )
            % {"time": date_format(timezone.localtime(saved.saved_at), "H:i")}
        )
        self.saved = saved


def save_draft(*, actor: User, study: Study, draft: Draft, version: int, page: str = "") -> Reading:
    """Keep what ``actor`` has entered, without signing it.

    ``study`` was found by ``visible_to(actor)``. ``version`` is that of the reading the page
    shows, 0 where it shows none; ``page`` a random name of the open page, empty for programs.

    :raises Forbidden: the actor may not write readings at the study's site.
    :raises InvalidInput: a value makes no sense; ``field`` names it.
    :raises DraftOvertaken: another page has saved since.
    :raises Conflict: ``already_signed``.
    """
    policies.require(actor, Permission.WRITE_READINGS, study.site_id)
    draft = _checked(draft)
    try:
        with transaction.atomic():
            return _keep(actor, study, draft, version, page, _hold(actor, study))
    except IntegrityError:
        # Two pages began the same draft at the same moment; the other one was first.
        raise DraftOvertaken(Reading.objects.get(study=study, reader=actor)) from None


@transaction.atomic
def record_first_impression(
    *, actor: User, study: Study, draft: Draft, version: int, page: str = ""
) -> Reading:
    """Record what the reader thinks before the AI's answer is shown, which shows it from then on.

    :raises Forbidden: the actor may not write readings at the study's site.
    :raises InvalidInput: no impression was chosen, or a value makes no sense.
    :raises DraftOvertaken: another page has saved since.
    :raises Conflict: ``already_signed``, or ``not_hidden``: the answer is visible already.
    """
    policies.require(actor, Permission.WRITE_READINGS, study.site_id)
    draft = _checked(draft)
    _lock(study)
    reading = _hold(actor, study)
    if not answer_hidden(actor, study):
        raise Conflict(
            _(
                "The AI’s answer to this study is visible already, "
                "so there is no first impression to record. Sign your reading instead."
            ),
            code="not_hidden",
        )
    if not draft.impression:
        raise _impression_missing()
    reading = _keep(actor, study, draft, version, page, reading)
    first = FirstImpression.objects.create(
        reading=reading, impression=draft.impression, text=draft.text
    )
    record("reading.first_impression", reading, actor=actor, detail={"study": str(study.pk)})
    reading.first_impression = first
    return reading


@transaction.atomic
def sign_reading(
    *,
    actor: User,
    study: Study,
    draft: Draft,
    version: int,
    page: str = "",
    answer_seen: str | None = None,
) -> Reading:
    """Sign: from now on the reading can't be changed, only added to.

    The first reading signed of a study is its reading of record. ``answer_seen`` is the
    ``Answer.key`` that the page showed (empty: no answer); None asks for no such check.

    :raises Forbidden: the actor may not write readings at the study's site.
    :raises InvalidInput: the impression, the stance or the reason of an override is missing.
    :raises DraftOvertaken: another page has saved since.
    :raises Conflict: ``already_signed``, ``images_open``, ``first_impression_needed`` or
        ``answer_changed``.
    """
    policies.require(actor, Permission.WRITE_READINGS, study.site_id)
    draft = _checked(draft)
    study = _lock(study)
    reading = _hold(actor, study)
    if study.status in OPEN_STATUSES:
        raise Conflict(
            _("The analysis of this study’s images is still running. Sign once it has ended."),
            code="images_open",
        )
    if answer_hidden(actor, study):
        raise Conflict(
            _("Record your first impression before you sign: the AI’s answer is shown then."),
            code="first_impression_needed",
        )
    answer = answer_of(study)
    if answer_seen is not None and answer_seen != (answer.key if answer else ""):
        raise Conflict(
            _("The AI’s answer has changed since you opened this page. Look at it, then sign."),
            code="answer_changed",
        )
    draft = _complete(draft, answer)
    reading = _keep(actor, study, draft, version, page, reading)
    _close(reading, answer)
    record(
        "reading.sign",
        reading,
        actor=actor,
        detail={"study": str(study.pk), "of_record": reading.of_record, "stance": reading.stance},
    )
    if reading.of_record:
        _open_discrepancy(reading)
    reading_signed.send(sender=Reading, reading=reading)
    return reading


@transaction.atomic
def add_addendum(*, actor: User, reading: Reading, text: str) -> Addendum:
    """Add to a signed reading; ``reading`` was found by ``visible_to(actor)``.

    :raises Forbidden: the actor may not write readings at the reading's site.
    :raises InvalidInput: there is no text, or it is too long.
    :raises Conflict: ``not_signed``.
    """
    policies.require(actor, Permission.WRITE_READINGS, reading.site_id)
    text = _checked_text(text, "text", TEXT_LENGTH)
    if not text:
        raise InvalidInput(_("Write what is to be added."), field="text")
    if not reading.is_signed:
        raise Conflict(
            _("This reading is not signed yet; change the draft instead."), code="not_signed"
        )
    addendum = Addendum.objects.create(reading=reading, author=actor, text=text)
    record("reading.addendum", reading, actor=actor, detail={"addendum": str(addendum.pk)})
    return addendum


def _lock(study: Study) -> Study:
    """Hold the study's row: of two readers who sign at once one is first, and first of record."""
    return Study.objects.select_for_update().get(pk=study.pk)


def _hold(actor: User, study: Study) -> Reading | None:
    """The actor's reading, locked; a signed one is none to go on with."""
    reading = Reading.objects.select_for_update().filter(study=study, reader=actor).first()
    if reading is not None and reading.is_signed:
        raise Conflict(
            _("You have signed this reading; what is to be added is an addendum."),
            code="already_signed",
        )
    return reading


def _keep(
    actor: User, study: Study, draft: Draft, version: int, page: str, reading: Reading | None
) -> Reading:
    now = timezone.now()
    if reading is None:
        reading = Reading(study=study, site_id=study.site_id, reader=actor, version=0)
        if version:
            raise InvalidInput(_("There is no draft of that version."), field="version")
        _fill(reading, draft, page, now)
        reading.save(force_insert=True)
        record("reading.draft", reading, actor=actor, detail={"study": str(study.pk)})
        return reading
    if version != reading.version and not (page and page == reading.saved_from):
        raise DraftOvertaken(reading)
    _fill(reading, draft, page, now)
    reading.save()
    return reading


def _fill(reading: Reading, draft: Draft, page: str, now: datetime) -> None:
    reading.impression = draft.impression
    reading.text = draft.text
    reading.stance = draft.stance
    reading.reason = draft.reason
    reading.version += 1
    reading.saved_at = now
    reading.saved_from = _checked_page(page)


def _close(reading: Reading, answer: Answer | None) -> None:
    of_record = not Reading.objects.filter(study=reading.study_id, of_record=True).exists()
    reading.signed_at = timezone.now()
    reading.of_record = of_record
    if answer is not None:
        reading.ai_label = answer.label
        reading.ai_called = answer.called
        reading.ai_results = [str(key) for key in answer.results]
    reading.save()


def _open_discrepancy(reading: Reading) -> None:
    by_class, by_flag = disagreement(reading.impression, reading.stance, reading.ai_called)
    if by_class or by_flag:
        Discrepancy.objects.create(
            reading=reading, site_id=reading.site_id, by_class=by_class, by_flag=by_flag
        )


def _complete(draft: Draft, answer: Answer | None) -> Draft:
    """The draft as it can be signed, or what is missing."""
    if not draft.impression:
        raise _impression_missing()
    choices = stances_open_to(draft.impression, answer)
    if choices == (Stance.NO_ANSWER,):
        return Draft(draft.impression, draft.text, Stance.NO_ANSWER, "")
    if draft.stance not in choices:
        raise InvalidInput(_why_not(draft.stance, choices), field="stance")
    if draft.stance == Stance.AGREES:
        return Draft(draft.impression, draft.text, Stance.AGREES, "")
    if not draft.reason:
        raise InvalidInput(_("Say why you override the AI’s answer."), field="reason")
    return draft


def _why_not(stance: str, choices: tuple[Stance, ...]) -> str:
    if not stance or len(choices) > 1:
        return _("Say whether you agree with the AI’s answer or override it.")
    if choices == (Stance.AGREES,):
        return _("Your impression is the AI’s answer, so the reading agrees with it.")
    return _(
        "Your impression is not the AI’s answer, so the reading overrides it. "
        "Choose that and say why."
    )


def _impression_missing() -> InvalidInput:
    return InvalidInput(_("Choose your impression first."), field="impression")


def _checked(draft: Draft) -> Draft:
    for value, choices, field in (
        (draft.impression, Impression.values, "impression"),
        (draft.stance, Stance.values, "stance"),
    ):
        if value and value not in choices:
            raise InvalidInput(_("Choose one of the values that are offered."), field=field)
    return Draft(
        impression=draft.impression,
        text=_checked_text(draft.text, "text", TEXT_LENGTH),
        stance=draft.stance,
        reason=_checked_text(draft.reason, "reason", REASON_LENGTH),
    )


def _checked_text(text: str, field: str, longest: int) -> str:
    # Browsers send line ends as CR LF; kept so, the same text would differ by where it came from.
    text = text.replace("\r\n", "\n").strip()
    if len(text) > longest:
        raise InvalidInput(_("Use at most %(count)s characters.") % {"count": longest}, field=field)
    if "\x00" in text:
        raise InvalidInput(_("The text contains invisible characters; type it anew."), field=field)
    return text


def _checked_page(page: str) -> str:
    if not page:
        return ""
    try:
        return str(UUID(page))
    except ValueError:
        raise InvalidInput(_("The page is not named by a UUID."), field="page") from None
