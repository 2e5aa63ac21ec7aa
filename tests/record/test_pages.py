"""Home, case record and history, as a clinician meets them."""

from __future__ import annotations

import datetime as dt
import re
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from screening.accounts.models import User
from screening.audit.models import Event
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.record import selectors
from screening.studies.models import Image, Study
from tests.personas import ClientOf, make_patient
from tests.record import rows

pytestmark = pytest.mark.django_db


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


# ---- home ----------------------------------------------------------------------------------


def test_home_shows_the_latest_studies_of_the_own_site(
    client_of: ClientOf, clinician_a: User, image_a: Image, image_b: Image
) -> None:
    rows.finish(image_a, Label.PNEUMONIA)
    page = text_of(client_of(clinician_a), "/")
    assert "Nordlund, Nina" in page
    assert "Pneumonia 91%" in page
    assert "Suárez" not in page


def test_home_of_a_new_site_says_how_to_begin(client_of: ClientOf, clinician_a: User) -> None:
    page = text_of(client_of(clinician_a), "/")
    assert "No study yet." in page
    assert "Needs a look" not in page


def test_home_puts_what_failed_or_was_refused_before_everything_else(
    client_of: ClientOf, clinician_a: User, patient_a: Patient, image_a: Image
) -> None:
    rows.fail(image_a)
    rows.finish(rows.send_image(clinician_a, patient_a, seed=2))
    page = text_of(client_of(clinician_a), "/")
    assert page.index("Needs a look") < page.index("Failed") < page.index("Latest studies")


def test_an_old_failure_no_longer_needs_a_look(
    client_of: ClientOf, clinician_a: User, image_a: Image
) -> None:
    rows.fail(image_a)
    long_ago = timezone.now() - dt.timedelta(days=selectors.ATTENTION_DAYS + 1)
    Study.objects.update(created_at=long_ago)
    assert "Needs a look" not in text_of(client_of(clinician_a), "/")


# ---- case record ---------------------------------------------------------------------------


def test_case_record_shows_the_person_and_every_study_newest_first(
    client_of: ClientOf, clinician_a: User, patient_a: Patient, image_a: Image
) -> None:
    rows.finish(image_a, Label.NORMAL)
    rows.finish(rows.send_image(clinician_a, patient_a, seed=2), Label.COVID)
    page = text_of(client_of(clinician_a), f"/patients/{patient_a.pk}/")
    for part in ("Nordlund, Nina", "N-1001", "14 March 1962", "Female", "sent by Alice Archer"):
        assert part in page
    assert page.index("COVID-19 82%") < page.index("Normal 96%")


def test_case_record_of_another_site_does_not_exist(
    client_of: ClientOf, clinician_a: User, patient_b: Patient
) -> None:
    assert client_of(clinician_a).get(f"/patients/{patient_b.pk}/").status_code == 404


def test_case_record_without_studies_offers_to_send_one(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    answer = client_of(clinician_a).get(f"/patients/{patient_a.pk}/")
    assert "No X-ray yet." in answer.content.decode()
    assert f"/patients/{patient_a.pk}/upload/" in answer.content.decode()


def test_opening_a_case_record_is_written_down_once(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    client_of(clinician_a).get(f"/patients/{patient_a.pk}/")
    event = Event.objects.get(action="patient.view")
    assert (event.actor_id, event.object_id) == (clinician_a.pk, str(patient_a.pk))
    assert event.site_id == patient_a.site_id


def test_a_name_is_text_and_never_markup(client_of: ClientOf, clinician_a: User) -> None:
    patient = make_patient(
        clinician_a.memberships.get().site, family_name="<script>alert(1)</script>"
    )
    body = client_of(clinician_a).get(f"/patients/{patient.pk}/").content.decode()
    assert "<script>alert(1)" not in body
    assert "&lt;script&gt;alert(1)" in body


# ---- history ---------------------------------------------------------------------------------


def test_history_filters_by_status_and_class(
    client_of: ClientOf, clinician_a: User, patient_a: Patient, image_a: Image
) -> None:
    rows.finish(image_a, Label.COVID)
    rows.fail(rows.send_image(clinician_a, patient_a, seed=2))
    rows.send_image(clinician_a, patient_a, seed=3)
    client = client_of(clinician_a)
    everything = text_of(client, "/studies/")
    assert all(word in everything for word in ("COVID-19 82%", "Failed", "Queued"))

    def shown(query: str) -> list[str]:
        cards = client.get(f"/studies/?{query}").context["page"].cards
        return [card.study.status for card in cards]

    assert shown("status=failed") == ["failed"]
    assert shown("status=open") == ["queued"]
    assert shown("label=covid") == ["done"]
    assert shown("label=normal") == []
    assert shown("status=failed&label=covid") == []


def test_history_filters_by_days_both_included(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    for day in (1, 2, 3):
        image = rows.send_image(clinician_a, patient_a, seed=day)
        Study.objects.filter(pk=image.study_id).update(
            created_at=dt.datetime(2026, 5, day, 23, 59, 59, tzinfo=dt.UTC)
        )
    client = client_of(clinician_a)

    def days(query: str) -> list[int]:
        cards = client.get(f"/studies/?{query}").context["page"].cards
        return [card.study.created_at.day for card in cards]

    assert days("since=2026-05-02&until=2026-05-03") == [3, 2]
    assert days("until=2026-05-01") == [1]
    assert days("since=2026-05-04") == []


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "since=2026-05-03&until=2026-05-01",
        "since=0001-01-01",
        "until=9999-12-31",
        "status=nonsense",
        "label=gout",
    ],
)
def test_a_filter_that_makes_no_sense_is_explained_beside_the_field(
    client_of: ClientOf, clinician_a: User, image_a: Image, query: str
) -> None:
    answer = client_of(clinician_a).get(f"/studies/?{query}")
    assert answer.status_code == 200
    assert "field-error" in answer.content.decode()
    assert not answer.context["page"].cards


def test_history_pages_forward_and_back_without_gap_or_repetition(
    client_of: ClientOf, clinician_a: User, patient_a: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "PAGE_SIZE", 3)
    moment = timezone.now()
    # Two studies share a moment: the key decides their order, on every page alike.
    for number in range(8):
        Study.objects.create(site=patient_a.site, patient=patient_a, uploaded_by=clinician_a)
        Study.objects.filter(pk=Study.objects.latest("created_at").pk).update(
            created_at=moment - dt.timedelta(seconds=number // 2)
        )
    client = client_of(clinician_a)
    expected = [str(pk) for pk in Study.objects.values_list("pk", flat=True)]

    forward, address = [], "/studies/"
    while True:
        page = client.get(address)
        forward.append([str(card.study.pk) for card in page.context["page"].cards])
        if not page.context["older_url"]:
            break
        address = "/studies/" + page.context["older_url"]
    assert [pk for part in forward for pk in part] == expected
    assert [len(part) for part in forward] == [3, 3, 2]

    back = [forward[-1]]
    while page.context["newer_url"]:
        page = client.get("/studies/" + page.context["newer_url"])
        back.insert(0, [str(card.study.pk) for card in page.context["page"].cards])
    assert back == forward


def test_the_next_page_keeps_the_filter(
    client_of: ClientOf, clinician_a: User, patient_a: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "PAGE_SIZE", 1)
    for seed in (1, 2):
        rows.fail(rows.send_image(clinician_a, patient_a, seed=seed))
    page = client_of(clinician_a).get("/studies/?status=failed")
    assert "status=failed&before=" in page.context["older_url"]


@pytest.mark.parametrize("mark", ["nonsense", "99999999999999999999-0", "12-xyz", "-"])
def test_a_page_mark_that_nobody_gave_is_refused_plainly(
    client_of: ClientOf, clinician_a: User, mark: str
) -> None:
    answer = client_of(clinician_a).get(f"/studies/?before={mark}")
    assert answer.status_code == 422
    assert "unknown_page" in answer.content.decode()


def test_lists_of_studies_are_written_down(client_of: ClientOf, clinician_a: User) -> None:
    client = client_of(clinician_a)
    client.get("/")
    client.get("/studies/")
    pages = [event.detail["page"] for event in Event.objects.filter(action="study.list")]
    assert sorted(pages) == ["history", "home"]


# ---- cost --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/studies/", "/patients/{patient}/"])
def test_more_studies_cost_no_more_queries(
    client_of: ClientOf,
    clinician_a: User,
    patient_a: Patient,
    image_a: Image,
    path: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = client_of(clinician_a)
    path = path.format(patient=patient_a.pk)
    rows.finish(image_a)
    client.get(path)
    with CaptureQueriesContext(connection) as few:
        client.get(path)
    study_id = uuid4()
    for seed in range(2, 6):
        rows.finish(rows.send_image(clinician_a, patient_a, seed=seed, study_id=study_id))
        rows.fail(rows.send_image(clinician_a, patient_a, seed=seed))
    # The start page now also has a list of what needs a look: its pictures, jobs and answers.
    with django_assert_num_queries(len(few) + (path == "/") * 3):
        client.get(path)
