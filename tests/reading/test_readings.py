"""What one can and cannot do with a reading, from the draft to the addendum."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from screening.accounts.models import User
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden, InvalidInput
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading import selectors, services
from screening.reading.answers import answer_of
from screening.reading.models import Discrepancy, Reading
from screening.reading.services import Draft, DraftOvertaken
from screening.reading.signals import reading_signed
from screening.studies.models import Study
from tests.record import rows

pytestmark = pytest.mark.django_db

AGREED = Draft("pneumonia", "Opacity, right lower zone.", "agrees")
OVERRIDDEN = Draft("normal", "Clear.", "overrides", "A breast shadow.")

CHANGES = {
    "UPDATE": (
        "UPDATE reading_reading SET text = 'forged'",
        "UPDATE reading_firstimpression SET text = 'forged'",
        "UPDATE reading_addendum SET text = 'forged'",
        "UPDATE reading_blindfirstswitch SET is_on = (1 = 0)",
    ),
    "DELETE": (
        "DELETE FROM reading_addendum",
        "DELETE FROM reading_firstimpression",
        "DELETE FROM reading_reading",
        "DELETE FROM reading_blindfirstswitch",
    ),
}


def sign(user: User, study: Study, draft: Draft = AGREED, version: int = 0) -> Reading:
    return services.sign_reading(actor=user, study=study, draft=draft, version=version)


def test_a_draft_is_kept_and_comes_back(clinician_a: User, study_a: Study) -> None:
    first = services.save_draft(actor=clinician_a, study=study_a, draft=Draft("", "Opa"), version=0)
    services.save_draft(
        actor=clinician_a, study=study_a, draft=Draft("pneumonia", "Opacity"), version=first.version
    )
    kept = selectors.reading_of(clinician_a, study_a)
    assert kept is not None
    assert (kept.impression, kept.text, kept.is_signed) == ("pneumonia", "Opacity", False)


def test_two_pages_do_not_eat_each_others_words(clinician_a: User, study_a: Study) -> None:
    here, there = str(uuid4()), str(uuid4())

    def save(text: str, version: int, page: str) -> Reading:
        return services.save_draft(
            actor=clinician_a, study=study_a, draft=Draft("", text), version=version, page=page
        )

    version = save("from here", 0, here).version
    save("from there", version, there)
    with pytest.raises(DraftOvertaken) as overtaken:
        save("from here, longer", version, here)
    assert overtaken.value.saved.text == "from there"
    # The page that saved last goes on, even where it never learned its new version.
    save("from there, longer", version, there)
    kept = selectors.reading_of(clinician_a, study_a)
    assert kept is not None
    assert kept.text == "from there, longer"


def test_nobody_else_sees_a_draft(
    clinician_a: User, admin_a: User, clinician_b: User, study_a: Study
) -> None:
    services.save_draft(actor=clinician_a, study=study_a, draft=Draft("", "secret"), version=0)
    assert Reading.objects.visible_to(clinician_a).count() == 1
    assert Reading.objects.visible_to(admin_a).count() == 0
    assert Reading.objects.visible_to(clinician_b).count() == 0


def test_the_first_to_sign_is_of_record(clinician_a: User, admin_a: User, study_a: Study) -> None:
    first = sign(clinician_a, study_a)
    second = sign(admin_a, study_a, OVERRIDDEN)
    assert (first.of_record, second.of_record) == (True, False)
    shown = selectors.signed_readings(clinician_a, study_a)
    assert [one.reader for one in shown] == [clinician_a, admin_a]
    assert not Discrepancy.objects.exists(), "a second reading opens no second look"


def test_what_the_ai_said_stays_beside_the_signed_reading(
    clinician_a: User, study_a: Study
) -> None:
    answer = answer_of(study_a)
    assert answer is not None
    reading = sign(clinician_a, study_a)
    assert (reading.ai_label, reading.ai_called) == ("pneumonia", False)
    assert reading.ai_results == [str(key) for key in answer.results]


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (Draft("", "Text alone."), "impression"),
        (Draft("normal"), "stance"),
        (Draft("normal", "", "agrees"), "stance"),
        (Draft("pneumonia", "", "overrides", "why not"), "stance"),
        (Draft("other", "", "agrees"), "stance"),
        (Draft("normal", "", "overrides", "  "), "reason"),
        (Draft("unsure"), "stance"),
        (Draft("unsure", "", "overrides"), "reason"),
        (Draft("flu"), "impression"),
        (Draft("normal", "x" * (services.TEXT_LENGTH + 1)), "text"),
        (Draft("normal", "nul \x00"), "text"),
    ],
)
def test_signing_says_what_is_missing(
    draft: Draft, field: str, clinician_a: User, study_a: Study
) -> None:
    with pytest.raises(InvalidInput) as refused:
        sign(clinician_a, study_a, draft)
    assert refused.value.field == field
    assert not Reading.objects.signed().exists()


def test_a_reader_who_cannot_tell_may_agree_or_override(
    clinician_a: User, admin_a: User, study_a: Study
) -> None:
    assert sign(clinician_a, study_a, Draft("unsure", "", "agrees")).stance == "agrees"
    override = Draft("unsure", "", "overrides", "Not enough air in the lungs.")
    assert sign(admin_a, study_a, override).stance == "overrides"


def test_a_study_without_an_answer_is_read_without_a_stance(
    clinician_a: User, patient_a: Patient
) -> None:
    image = rows.send_image(clinician_a, patient_a)
    study = rows.study_of(image)
    with pytest.raises(Conflict) as refused:
        sign(clinician_a, study, Draft("normal"))
    assert refused.value.code == "images_open"
    rows.refuse(image)
    assert sign(clinician_a, rows.study_of(image), Draft("normal")).stance == "no_answer"
    assert not Discrepancy.objects.exists()


def test_an_answer_that_changed_meanwhile_is_not_signed_unseen(
    clinician_a: User, study_a: Study, patient_a: Patient
) -> None:
    answer = answer_of(study_a)
    assert answer is not None
    rows.finish(rows.send_image(clinician_a, patient_a, study_id=study_a.pk, seed=2), Label.COVID)
    with pytest.raises(Conflict) as refused:
        services.sign_reading(
            actor=clinician_a, study=study_a, draft=AGREED, version=0, answer_seen=answer.key
        )
    assert refused.value.code == "answer_changed"


def test_signing_is_once_and_then_only_added_to(clinician_a: User, study_a: Study) -> None:
    reading = sign(clinician_a, study_a)
    for attempt in (services.save_draft, services.sign_reading):
        with pytest.raises(Conflict) as refused:
            attempt(actor=clinician_a, study=study_a, draft=OVERRIDDEN, version=reading.version)
        assert refused.value.code == "already_signed"
    services.add_addendum(actor=clinician_a, reading=reading, text="The left side too.")
    (shown,) = selectors.signed_readings(clinician_a, study_a)
    assert (shown.impression, shown.text) == ("pneumonia", "Opacity, right lower zone.")
    assert [one.text for one in shown.addenda.all()] == ["The left side too."]
    with pytest.raises(InvalidInput):
        services.add_addendum(actor=clinician_a, reading=reading, text=" \n ")


@pytest.mark.parametrize("verb", ["UPDATE", "DELETE"])
def test_the_database_itself_keeps_signed_words(
    verb: str, clinician_a: User, blind_study: Study
) -> None:
    first = services.record_first_impression(
        actor=clinician_a, study=blind_study, draft=Draft("normal", "Clear."), version=0
    )
    draft = Draft("normal", "Clear.", "overrides", "Nothing there.")
    reading = sign(clinician_a, blind_study, draft, version=first.version)
    services.add_addendum(actor=clinician_a, reading=reading, text="Still nothing.")
    for statement in CHANGES[verb]:
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
            connection.cursor().execute(statement)
    assert Reading.objects.get().text == "Clear."


def test_a_first_impression_is_kept_beside_the_final_one(
    clinician_a: User, blind_study: Study
) -> None:
    assert selectors.answer_hidden(clinician_a, blind_study)
    with pytest.raises(Conflict) as refused:
        sign(clinician_a, blind_study)
    assert refused.value.code == "first_impression_needed"
    with pytest.raises(InvalidInput):
        services.record_first_impression(
            actor=clinician_a, study=blind_study, draft=Draft("", "hm"), version=0
        )
    reading = services.record_first_impression(
        actor=clinician_a, study=blind_study, draft=Draft("normal", "Clear."), version=0
    )
    assert not selectors.answer_hidden(clinician_a, blind_study)
    signed = sign(clinician_a, blind_study, AGREED, version=reading.version)
    assert signed.first_impression.impression == "normal"
    assert signed.first_impression.text == "Clear."
    assert signed.impression == "pneumonia"


def test_there_is_no_first_impression_of_what_one_has_seen(
    clinician_a: User, study_a: Study
) -> None:
    with pytest.raises(Conflict) as refused:
        services.record_first_impression(
            actor=clinician_a, study=study_a, draft=Draft("normal"), version=0
        )
    assert refused.value.code == "not_hidden"
    assert not Reading.objects.exists()


def test_strangers_write_nothing(clinician_b: User, study_a: Study) -> None:
    for attempt in (
        services.save_draft,
        services.sign_reading,
        services.record_first_impression,
    ):
        with pytest.raises(Forbidden):
            attempt(actor=clinician_b, study=study_a, draft=AGREED, version=0)


def test_whoever_listens_can_undo_the_signing(clinician_a: User, study_a: Study) -> None:
    def refuse(**_: object) -> None:
        raise RuntimeError("no")

    reading_signed.connect(refuse)
    try:
        with pytest.raises(RuntimeError):
            sign(clinician_a, study_a)
    finally:
        reading_signed.disconnect(refuse)
    assert not Reading.objects.exists()


def test_each_step_is_in_the_audit(clinician_a: User, blind_study: Study) -> None:
    draft = services.save_draft(
        actor=clinician_a, study=blind_study, draft=Draft("normal"), version=0
    )
    first = services.record_first_impression(
        actor=clinician_a, study=blind_study, draft=Draft("normal"), version=draft.version
    )
    reading = sign(clinician_a, blind_study, AGREED, version=first.version)
    services.add_addendum(actor=clinician_a, reading=reading, text="More.")
    events = Event.objects.filter(object_id=str(reading.pk)).order_by("id")
    assert [event.action for event in events] == [
        "reading.draft",
        "reading.first_impression",
        "reading.sign",
        "reading.addendum",
    ]
