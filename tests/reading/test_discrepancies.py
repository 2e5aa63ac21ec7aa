"""Second looks: what opens one, who may take it, and that it is taken once."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden, InvalidInput
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading import discrepancies
from screening.reading.discrepancies import discrepancy_page, resolve_discrepancy
from screening.reading.models import Discrepancy, Reading
from screening.reading.services import Draft, sign_reading
from tests.personas import ClientOf
from tests.record import rows

pytestmark = pytest.mark.django_db


def read(
    reader: User,
    patient: Patient,
    impression: str,
    *,
    label: Label = Label.PNEUMONIA,
    called: bool | None = False,
    stance: str = "",
) -> Reading:
    """A study that the AI answered with ``label``, read and signed as ``impression``."""
    image = rows.send_image(reader, patient, seed=uuid4().int % 50, study_id=uuid4())
    carried = rows.evidence() if called is not None else {}
    if called is not None:
        carried["operating_point"] |= {"called": called}  # type: ignore[operator]
    rows.finish(image, label, carried=carried)
    stance = stance or ("agrees" if impression == label else "overrides")
    draft = Draft(impression, "", stance, "Seen so." if stance == "overrides" else "")
    return sign_reading(actor=reader, study=rows.study_of(image), draft=draft, version=0)


@pytest.mark.parametrize(
    ("impression", "label", "called", "stance", "expected"),
    [
        ("pneumonia", Label.PNEUMONIA, False, "", None),
        ("covid", Label.COVID, True, "", None),
        ("normal", Label.NORMAL, None, "", None),
        ("normal", Label.PNEUMONIA, False, "", (True, False)),
        ("other", Label.NORMAL, False, "", (True, False)),
        ("covid", Label.PNEUMONIA, False, "", (True, True)),
        # The class below the operating point, or the flag with another class on top.
        ("covid", Label.COVID, False, "", (False, True)),
        ("pneumonia", Label.PNEUMONIA, True, "", (False, True)),
        ("unsure", Label.NORMAL, False, "agrees", None),
        ("unsure", Label.NORMAL, False, "overrides", (True, False)),
        ("unsure", Label.COVID, True, "agrees", (False, True)),
    ],
)
def test_what_counts_as_disagreement(
    impression: str,
    label: Label,
    called: bool | None,
    stance: str,
    expected: tuple[bool, bool] | None,
    clinician_a: User,
    patient_a: Patient,
) -> None:
    read(clinician_a, patient_a, impression, label=label, called=called, stance=stance)
    found = [(one.by_class, one.by_flag) for one in Discrepancy.objects.all()]
    assert found == ([expected] if expected else [])


@pytest.fixture
def waiting(clinician_a: User, patient_a: Patient) -> Discrepancy:
    return read(clinician_a, patient_a, "normal").discrepancy


def test_a_colleague_takes_the_second_look_once(
    waiting: Discrepancy, admin_a: User, colleague_a: User, clinician_a: User
) -> None:
    (shown,) = discrepancy_page(admin_a).rows
    assert shown == waiting
    resolve_discrepancy(actor=admin_a, discrepancy=waiting, verdict="ai", note="I see it too.")
    assert discrepancy_page(admin_a).rows == []
    (done,) = discrepancy_page(clinician_a, resolved=True).rows
    assert (done.verdict, done.note, done.resolved_by) == ("ai", "I see it too.", admin_a)
    with pytest.raises(Conflict) as refused:
        resolve_discrepancy(actor=colleague_a, discrepancy=waiting, verdict="ai", note="Me too.")
    assert refused.value.code == "already_resolved"
    event = Event.objects.get(action="discrepancy.resolve")
    assert (event.actor_id, event.object_id) == (admin_a.pk, str(waiting.pk))


def test_nobody_looks_a_second_time_at_the_own_reading(
    waiting: Discrepancy, clinician_a: User, clinician_b: User
) -> None:
    with pytest.raises(Forbidden) as refused:
        resolve_discrepancy(actor=clinician_a, discrepancy=waiting, verdict="reading", note="Yes.")
    assert refused.value.code == "own_reading"
    assert discrepancy_page(clinician_b).rows == []
    with pytest.raises(Forbidden):
        resolve_discrepancy(actor=clinician_b, discrepancy=waiting, verdict="reading", note="Yes.")


@pytest.mark.parametrize(
    ("verdict", "note", "field"),
    [("", "x", "verdict"), ("maybe", "x", "verdict"), ("ai", " ", "note")],
)
def test_a_second_look_says_what_and_why(
    verdict: str, note: str, field: str, waiting: Discrepancy, admin_a: User
) -> None:
    with pytest.raises(InvalidInput) as refused:
        resolve_discrepancy(actor=admin_a, discrepancy=waiting, verdict=verdict, note=note)
    assert refused.value.field == field


def test_the_database_keeps_what_was_resolved(waiting: Discrepancy, admin_a: User) -> None:
    resolve_discrepancy(actor=admin_a, discrepancy=waiting, verdict="unclear", note="Blurred.")
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        connection.cursor().execute("UPDATE reading_discrepancy SET note = 'forged'")


@pytest.mark.parametrize("resolved", [False, True])
def test_the_queue_is_read_page_by_page(
    resolved: bool,
    north: Site,
    clinician_a: User,
    admin_a: User,
    patient_a: Patient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discrepancies, "PAGE_SIZE", 2)
    made = [read(clinician_a, patient_a, "normal").discrepancy for _ in range(5)]
    if resolved:
        for one in made:
            resolve_discrepancy(actor=admin_a, discrepancy=one, verdict="ai", note="Yes.")
        made.reverse()
    found, after = [], ""
    for _ in range(5):
        page = discrepancy_page(admin_a, resolved=resolved, after=after)
        found += page.rows
        after = page.next
        if not after:
            break
    assert found == made
    with pytest.raises(InvalidInput):
        discrepancy_page(admin_a, after="nonsense")


def test_the_page_shows_both_sides(
    waiting: Discrepancy, admin_a: User, clinician_a: User, client_of: ClientOf
) -> None:
    page = client_of(admin_a).get("/readings/second-looks/").content.decode()
    assert "Reading: <strong>Normal</strong>" in page
    assert "AI: <strong>Pneumonia</strong>" in page
    study = f"/studies/{waiting.reading.study_id}/"
    assert "Record the second look" in client_of(admin_a).get(study).content.decode()
    own = client_of(clinician_a).get(study).content.decode()
    assert "waits for a colleague" in own
    assert "Record the second look" not in own
    response = client_of(admin_a).post(
        f"/readings/second-looks/{waiting.pk}/", {"verdict": "reading", "note": "Clear indeed."}
    )
    assert response["Location"] == "/readings/second-looks/"
    assert "Clear indeed." in client_of(clinician_a).get(study).content.decode()
