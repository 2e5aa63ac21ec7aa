"""Opening one record of another site: how it is found, what it gives, how it ends, who reviews."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from screening.accounts.models import Membership, Role, Site, User
from screening.accounts.reauthentication import PROVED_AT
from screening.audit.models import Event, Outcome
from screening.emergency.models import EmergencyAccess, EmergencyAttempt
from screening.emergency.services import MOST_ATTEMPTS
from screening.patients.models import Patient
from screening.reading.blind_first import set_blind_first
from screening.studies.models import Study
from screening.worklist.models import Notification
from tests.emergency.conftest import REASON, Opener
from tests.personas import ClientOf, make_patient
from tests.record import rows


def record_of(patient: Patient) -> str:
    return f"/patients/{patient.pk}/"


# --- Finding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"mrn": "n-1001"},
        {"family_name": "nordlund", "birth_date": "1962-03-14"},
        {"mrn": "N-1001", "family_name": "Nordlund"},
    ],
)
def test_an_exact_search_opens_the_record_at_once(
    fields: dict[str, str], ask: Opener, bob: Client, patient_a: Patient
) -> None:
    assert bob.get(record_of(patient_a)).status_code == 404
    answer = ask(**fields)
    assert answer.headers["Location"] == record_of(patient_a)
    page = bob.get(record_of(patient_a))
    assert page.status_code == 200
    assert "Nordlund" in page.content.decode()


@pytest.mark.once
@pytest.mark.parametrize(
    "fields",
    [
        {"mrn": "N-100"},
        {"mrn": "N-1001", "family_name": "Someone"},
        {"family_name": "Nordlund", "birth_date": "1962-03-15"},
        {"family_name": "Nordlun", "birth_date": "1962-03-14"},
    ],
)
def test_what_does_not_fit_exactly_is_not_found_and_the_attempt_is_noted(
    fields: dict[str, str], ask: Opener, patient_a: Patient, clinician_b: User
) -> None:
    answer = ask(**fields)
    assert answer.status_code == 404
    assert "Nina" not in answer.content.decode()
    event = Event.objects.get(action="emergency.search")
    assert (event.site_id, event.actor_id) == (patient_a.site_id, clinician_b.pk)
    assert event.outcome == Outcome.FAILED
    assert not EmergencyAccess.objects.exists()


@pytest.mark.once
def test_two_who_fit_are_not_told_apart(ask: Opener, patient_a: Patient) -> None:
    make_patient(patient_a.site, family_name="Nordlund", birth_date=patient_a.birth_date)
    assert ask(family_name="Nordlund", birth_date="1962-03-14").status_code == 404


@pytest.mark.once
@pytest.mark.parametrize(
    "fields",
    [
        {"mrn": "N-1001", "reason": "because"},
        {"mrn": "N-1001", "reason": "a           b            c"},
        {"mrn": "N-1001", "reason": ""},
        {"family_name": "Nordlund"},
        {"birth_date": "1962-03-14"},
        {},
    ],
)
def test_without_a_reason_or_enough_to_go_by_nothing_is_told_or_counted(
    fields: dict[str, str], ask: Opener, patient_a: Patient
) -> None:
    answer = ask(**fields)
    assert answer.status_code in (200, 422)
    assert not EmergencyAttempt.objects.exists()
    assert not EmergencyAccess.objects.exists()


def test_whoever_searches_too_often_has_to_wait(ask: Opener, patient_a: Patient) -> None:
    for _ in range(MOST_ATTEMPTS):
        assert ask(mrn="guess").status_code == 404
    assert ask(mrn=patient_a.mrn).status_code == 429
    assert Event.objects.filter(action="emergency.search", outcome=Outcome.DENIED).count() == 1
    EmergencyAttempt.objects.update(created_at=timezone.now() - dt.timedelta(hours=2))
    assert ask(mrn=patient_a.mrn).status_code == 302


def test_the_identity_has_to_be_proved_anew(
    bob: Client, ask: Opener, patient_a: Patient, settings: Any
) -> None:
    session = bob.session
    session[PROVED_AT] -= settings.RECENT_SIGN_IN_S + 1
    session.save()
    answer = ask(mrn=patient_a.mrn)
    assert answer.status_code == 302
    assert "/account/confirm/" in answer.headers["Location"]
    assert not EmergencyAccess.objects.exists()


@pytest.mark.once
def test_a_persons_own_site_is_not_offered(bob: Client, north: Site, south: Site) -> None:
    page = bob.get("/emergency/").content.decode()
    assert str(north.pk) in page
    assert str(south.pk) not in page


# --- What it gives -------------------------------------------------------------------------------


def test_it_gives_this_record_until_it_expires(
    opened: EmergencyAccess, bob: Client, patient_a: Patient, settings: Any
) -> None:
    other = make_patient(patient_a.site)
    assert bob.get(record_of(other)).status_code == 404
    hours = (opened.expires_at - opened.created_at).total_seconds() / 3600
    assert hours == pytest.approx(settings.EMERGENCY_ACCESS_HOURS, abs=0.01)
    EmergencyAccess.objects.update(expires_at=timezone.now())
    assert bob.get(record_of(patient_a)).status_code == 404


def test_every_page_of_the_record_says_so(
    opened: EmergencyAccess, bob: Client, patient_a: Patient, clinician_a: User
) -> None:
    image = rows.send_image(clinician_a, patient_a)
    rows.finish(image)
    study = f"/studies/{image.study_id}/"
    for path in (
        record_of(patient_a),
        f"{record_of(patient_a)}compare/",
        study,
        f"{study}view/",
        f"{study}reports/",
    ):
        page = bob.get(path)
        assert page.status_code == 200, path
        text = page.content.decode()
        assert "This record belongs to North Hospital" in text, path
        assert f"/emergency/{opened.pk}/end/" in text, path
    assert "This record belongs" not in bob.get("/patients/").content.decode()


def test_lists_stay_those_of_the_own_site(
    opened: EmergencyAccess, bob: Client, patient_a: Patient, clinician_a: User
) -> None:
    study = rows.send_image(clinician_a, patient_a).study_id
    for path in ("/", "/studies/", "/patients/?q=nord", "/worklist/", "/api/v1/studies/",
                 "/api/v1/patients/", "/studies/csv/", "/worklist/csv/"):  # fmt: skip
        answer = bob.get(path)
        body = b"".join(answer) if answer.streaming else answer.content  # type: ignore[arg-type]
        assert answer.status_code == 200
        assert str(study).encode() not in body, path
        assert b"Nordlund" not in body, path


def test_another_session_of_somebody_else_gets_nothing(
    opened: EmergencyAccess, admin_b: User, client_of: ClientOf, patient_a: Patient
) -> None:
    assert client_of(admin_b).get(record_of(patient_a)).status_code == 404


def test_a_program_with_a_token_is_in_no_emergency(
    opened: EmergencyAccess, clinician_b: User, patient_a: Patient, bob: Client
) -> None:
    from screening.accounts.services.tokens import issue_token

    where = f"/api/v1/patients/{patient_a.pk}/"
    assert bob.get(where).status_code == 200
    headers = {"Authorization": f"Token {issue_token(user=clinician_b)}"}
    assert Client(headers=headers).get(where).status_code == 404


def test_whoever_must_read_first_at_that_site_must_here_too(
    opened: EmergencyAccess, bob: Client, admin_a: User, clinician_a: User, patient_a: Patient
) -> None:
    set_blind_first(actor=admin_a, site=patient_a.site, is_on=True)
    image = rows.send_image(clinician_a, patient_a)
    rows.finish(image)
    page = bob.get(f"/studies/{image.study_id}/").content.decode()
    assert "91%" not in page
    assert bob.get(f"/images/{image.pk}/heatmap/").status_code == 403


# --- Who knows of it -----------------------------------------------------------------------------


def test_both_sites_have_it_in_their_audit_and_their_admins_are_told(
    opened: EmergencyAccess,
    admin_a: User,
    admin_b: User,
    patient_a: Patient,
    clinician_b: User,
    client_of: ClientOf,
) -> None:
    events = Event.objects.filter(action="emergency.open", actor_id=clinician_b.pk)
    sites = {opened.site_id, opened.home_site_id}
    assert {event.site_id for event in events} == sites
    assert {event.object_id for event in events} == {str(patient_a.pk)}
    assert all(REASON not in str(event.detail) for event in events)
    told = Notification.objects.filter(kind="emergency")
    assert set(told.values_list("user_id", "site_id")) == {
        (admin_a.pk, opened.site_id),
        (admin_b.pk, opened.home_site_id),
    }
    page = client_of(admin_a).get("/notifications/").content.decode()
    assert "/site/emergencies/" in page


def test_each_site_reviews_for_itself_and_only_the_records_own_reads_the_name(
    opened: EmergencyAccess, admin_a: User, admin_b: User, client_of: ClientOf, bob: Client
) -> None:
    north, south = client_of(admin_a), client_of(admin_b)
    for client, name_shown in ((north, True), (south, False)):
        page = client.get("/site/emergencies/").content.decode()
        assert REASON in page
        assert ("Nordlund" in page) == name_shown
    where = f"/site/emergencies/{opened.pk}/review/"
    remark = {"site": str(opened.site_id), "remark": "Called back; all in order."}
    assert bob.post(where, remark).status_code == 403
    assert south.post(where, remark).status_code == 403
    assert north.post(where, remark).status_code == 302
    assert "Called back" in north.get("/site/emergencies/").content.decode()
    assert "waits for your review" in south.get("/site/emergencies/").content.decode()
    north.post(where, remark)  # Twice is once.
    assert opened.reviews.count() == 1
    assert Event.objects.filter(action="emergency.review").count() == 1


def test_nobody_reviews_what_they_opened_themselves(
    opened: EmergencyAccess, clinician_b: User, bob: Client
) -> None:
    Membership.objects.filter(user=clinician_b).update(role=Role.ADMIN)
    bob.post(f"/site/emergencies/{opened.pk}/review/", {"site": str(opened.home_site_id)})
    assert not opened.reviews.exists()


def test_ended_is_ended_whoever_ended_it(
    opened: EmergencyAccess, bob: Client, patient_a: Patient, ask: Opener, admin_a: User,
    client_of: ClientOf, clinician_a: User,
) -> None:  # fmt: skip
    assert client_of(clinician_a).post(f"/emergency/{opened.pk}/end/").status_code == 404
    bob.post(f"/emergency/{opened.pk}/end/")
    assert bob.get(record_of(patient_a)).status_code == 404
    assert Event.objects.filter(action="emergency.end").count() == 2
    ask(mrn=patient_a.mrn)
    assert bob.get(record_of(patient_a)).status_code == 200
    newest = EmergencyAccess.objects.first()
    assert newest is not None
    client_of(admin_a).post(f"/emergency/{newest.pk}/end/")
    assert bob.get(record_of(patient_a)).status_code == 404


@pytest.mark.once
@pytest.mark.parametrize(
    ("may_open", "role", "opens"),
    [("nobody", "admin", False), ("admins", "clinician", False), ("admins", "admin", True)],
)
def test_a_site_chooses_who_may(
    may_open: str, role: str, opens: bool, ask: Opener, bob: Client, admin_a: User,
    client_of: ClientOf, clinician_b: User, patient_a: Patient,
) -> None:  # fmt: skip
    Membership.objects.filter(user=clinician_b).update(role=role)
    assert client_of(admin_a).post("/site/emergencies/rule/", {"may_open": may_open})
    ask(mrn=patient_a.mrn)
    assert EmergencyAccess.objects.exists() == opens


def test_a_site_that_closes_ends_what_is_open(
    opened: EmergencyAccess, bob: Client, admin_a: User, client_of: ClientOf, patient_a: Patient
) -> None:
    client_of(admin_a).post("/site/emergencies/rule/", {"may_open": "nobody"})
    assert bob.get(record_of(patient_a)).status_code == 404


def test_without_an_open_record_the_query_is_the_one_on_sites(
    clinician_b: User, bob: Client
) -> None:
    sql = str(Study.objects.visible_to(clinician_b).query)
    assert " OR " not in sql
