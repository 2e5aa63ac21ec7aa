"""The worklist's pages and API, as people of two sites see them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.inference.models import Job
from screening.patients.models import Patient
from screening.reading.services import Draft, record_first_impression
from screening.studies.models import Status, Study
from screening.worklist import claims
from screening.worklist.models import Entry, Order, Rule, SavedView
from tests.personas import ClientOf, make_patient
from tests.record import rows
from tests.worklist.conftest import NewStudy, send_study

HTMX = {"HX-Request": "true"}


@pytest.fixture
def alice(client_of: ClientOf, clinician_a: User) -> Client:
    return client_of(clinician_a)


def body(response: Any) -> str:
    return str(response.content.decode())


def shown(response: Any) -> list[str]:
    """The keys of the studies on the page, in order."""
    return re.findall(r'id="entry-([0-9a-f-]{36})"', body(response))


def keys(*studies: Study) -> list[str]:
    return [str(study.pk) for study in studies]


def stuck(actor: User, patient: Patient, end: Any, seed: int) -> Study:
    image = rows.send_image(actor, patient, seed=seed)
    end(image)
    return rows.study_of(image)


def test_an_empty_list_says_so(alice: Client) -> None:
    page = body(alice.get("/worklist/"))
    assert "Everything is read" in page
    assert "Longest wait" not in page


def test_the_list_shows_who_waits_how_long_and_in_whose_hands(
    alice: Client, anna: User, clinician_a: User, new_study: NewStudy, flags_first: Rule
) -> None:
    flagged = new_study(flagged=True, minutes_ago=10)
    old = new_study(minutes_ago=200, seed=2)
    claims.claim_study(actor=anna, study_id=flagged.pk)
    response = alice.get("/worklist/")
    page = body(response)
    assert shown(response) == keys(old, flagged)
    assert "2 studies" in page
    assert "Longest wait at your site: 3 h 20 min" in page
    assert "longer than the cap" in page
    assert "Anna Ames is reading" in page
    assert page.count("Flagged</span>") == 1


def test_the_list_of_another_site_is_another_list(
    client_of: ClientOf, clinician_b: User, new_study: NewStudy
) -> None:
    new_study()
    page = body(client_of(clinician_b).get("/worklist/"))
    assert "Everything is read" in page
    assert "Nordlund" not in page


def test_filters(
    alice: Client, anna: User, clinician_a: User, patient_a: Patient, north: Site,
    new_study: NewStudy,
) -> None:  # fmt: skip
    plain = new_study(minutes_ago=50)
    flagged = new_study(flagged=True, minutes_ago=40, seed=2)
    failed = stuck(clinician_a, patient_a, rows.fail, seed=3)
    refused = stuck(clinician_a, patient_a, rows.refuse, seed=4)
    open_ = new_study(flagged=None, seed=5)
    other = make_patient(north, mrn="Q-77", family_name="Quillfeather")
    hers = send_study(clinician_a, other, seed=6)
    claims.claim_study(actor=clinician_a, study_id=plain.pk)
    claims.claim_study(actor=anna, study_id=flagged.pk)
    claims.assign_study(actor=anna, study_id=failed.pk, assignee_id=clinician_a.pk)
    days_ago = timezone.now() - timedelta(days=3)
    Entry.objects.filter(pk=open_.pk).update(arrived_at=days_ago)

    def found(query: str) -> set[str]:
        return set(shown(alice.get(f"/worklist/?{query}")))

    everything = set(keys(plain, flagged, failed, refused, open_, hers))
    assert found("") == everything
    assert found("status=stuck") == set(keys(failed, refused))
    assert found("status=failed") == set(keys(failed))
    assert found("status=open") == set(keys(open_))
    assert found("flag=yes") == set(keys(flagged))
    assert found("flag=no") == everything - set(keys(flagged))
    assert found("claim=mine") == set(keys(plain))
    assert found("claim=taken") == set(keys(flagged))
    assert found("claim=free") == everything - set(keys(plain, flagged))
    assert found("claim=assigned") == set(keys(failed))
    assert found(f"until={days_ago.date()}") == set(keys(open_))
    assert found(f"since={timezone.now().date()}") == everything - set(keys(open_))
    assert found("q=quill") == set(keys(hers))
    assert found("q=q-77") == set(keys(hers))
    assert found("q=nobody") == set()
    assert found("status=done&claim=mine") == set(keys(plain))


@pytest.mark.parametrize(
    "query", ["status=nonsense", "since=yesterday", "since=2026-02-02&until=2026-01-01", "flag=9"]
)
def test_a_filter_that_makes_no_sense_is_no_fault(
    alice: Client, new_study: NewStudy, query: str
) -> None:
    new_study()
    assert alice.get(f"/worklist/?{query}").status_code == 200


def test_pages_are_leafed_through(alice: Client, clinician_a: User, patient_a: Patient) -> None:
    now = timezone.now()
    studies = Study.objects.bulk_create(
        Study(site=patient_a.site, patient=patient_a, uploaded_by=clinician_a) for _ in range(120)
    )
    Entry.objects.bulk_create(
        Entry(study=study, site=patient_a.site, patient=patient_a, status="done",
              arrived_at=now - timedelta(minutes=number))
        for number, study in enumerate(reversed(studies))
    )  # fmt: skip
    seen, address = [], "/worklist/?status=done"
    while address:
        response = alice.get(address)
        seen += shown(response)
        assert "99+ studies" in body(response)
        link = re.search(r'rel="next" href="([^"]+)"', body(response))
        address = link[1].replace("&amp;", "&") if link else ""
    assert seen == keys(*studies)


def test_claiming_from_the_list_renews_the_row(
    alice: Client, client_of: ClientOf, anna: User, new_study: NewStudy
) -> None:
    study = new_study()
    address = f"/worklist/studies/{study.pk}/claim/"
    row = body(alice.post(address, headers=HTMX))
    assert "You are reading" in row
    assert "Give back" in row
    refused = client_of(anna).post(address, headers=HTMX)
    assert refused.status_code == 200
    assert "Alice Archer is reading this study." in body(refused)
    assert "I’m reading this" not in body(refused)
    back = alice.post(f"/worklist/studies/{study.pk}/release/", {"next": "/worklist/?claim=free"})
    assert back["Location"] == "/worklist/?claim=free"
    away = alice.post(f"/worklist/studies/{study.pk}/claim/", {"next": "//evil.example/"})
    assert away["Location"] == "/worklist/"


def test_the_open_study_shows_and_prolongs_the_claim(
    alice: Client, client_of: ClientOf, clinician_a: User, anna: User, new_study: NewStudy
) -> None:
    study = new_study()
    address = f"/worklist/studies/{study.pk}/presence/"
    assert "Nobody is reading" in body(alice.post(address, {"active": "1"}))
    claims.claim_study(actor=clinician_a, study_id=study.pk)
    soon = timezone.now() + timedelta(seconds=30)
    Entry.objects.update(claimed_until=soon)
    assert "You are reading this study." in body(alice.post(address))
    assert Entry.objects.get().claimed_until == soon, "a page that stands open is no sign"
    alice.post(address, {"active": "1"})
    until = Entry.objects.get().claimed_until
    assert until is not None
    assert until > soon
    assert "Alice Archer is reading this study" in body(client_of(anna).post(address))


def test_handing_over_on_the_study_page(
    alice: Client, clinician_a: User, anna: User, new_study: NewStudy
) -> None:
    study = new_study()
    claims.claim_study(actor=clinician_a, study_id=study.pk)
    page = body(alice.post(f"/worklist/studies/{study.pk}/presence/"))
    assert f'<option value="{anna.pk}">Anna Ames</option>' in page
    response = alice.post(
        f"/worklist/studies/{study.pk}/assign/",
        {"assignee": str(anna.pk), "view": "bar"},
        headers=HTMX,
    )
    assert "It is assigned to Anna Ames." in body(response)
    bad = alice.post(f"/worklist/studies/{study.pk}/assign/", {"assignee": "nonsense"})
    assert bad.status_code == 422


def test_failed_studies_are_retried_from_the_list(
    alice: Client, clinician_a: User, patient_a: Patient
) -> None:
    failed = stuck(clinician_a, patient_a, rows.fail, seed=1)
    refused = stuck(clinician_a, patient_a, rows.refuse, seed=2)
    page = body(alice.get("/worklist/"))
    assert f"/worklist/studies/{failed.pk}/retry/" in page
    assert f"/worklist/studies/{refused.pk}/retry/" not in page
    row = body(alice.post(f"/worklist/studies/{failed.pk}/retry/", headers=HTMX))
    assert "Queued" in row
    assert Job.objects.get(image__study=failed).status == Status.QUEUED
    again = body(alice.post(f"/worklist/studies/{failed.pk}/retry/", headers=HTMX))
    assert "No image of this study has failed." in again


def test_the_next_study_opens(alice: Client, new_study: NewStudy) -> None:
    study = new_study()
    assert alice.post("/worklist/next/")["Location"] == f"/studies/{study.pk}/"
    after = alice.post("/worklist/next/", {"after": str(study.pk)}, follow=True)
    assert "Nothing is left to read" in body(after)


def test_news_are_sent_only_when_there_are_any(
    alice: Client, anna: User, new_study: NewStudy
) -> None:
    study = new_study()
    page = body(alice.get("/worklist/"))
    asked = re.search(r'hx-get="(/worklist/rows/[^"]+)"', page)
    assert asked
    address = asked[1].replace("&amp;", "&")
    events = Event.objects.filter(action="worklist.list")
    before = events.count()
    assert alice.get(address).status_code == 204
    assert events.count() == before
    claims.claim_study(actor=anna, study_id=study.pk)
    renewed = alice.get(address)
    assert "Anna Ames is reading" in body(renewed)
    assert "<html" not in body(renewed)
    assert events.count() == before + 1


def test_saved_views_are_ones_own_and_hold_no_search(
    alice: Client, client_of: ClientOf, anna: User
) -> None:
    query = "q=Nordlund&status=stuck&claim=free&colour=red"
    saved = alice.post("/worklist/views/", {"name": "Mornings", "query": query})
    assert saved["Location"] == "/worklist/?status=stuck&claim=free"
    view = SavedView.objects.get()
    page = body(alice.get("/worklist/"))
    assert "Mornings" in page
    alice.post("/worklist/views/", {"name": "Mornings", "query": "claim=mine"})
    assert [one.query for one in SavedView.objects.all()] == ["claim=mine"], "replaced"
    hers = client_of(anna)
    assert "Mornings" not in body(hers.get("/worklist/"))
    assert hers.post(f"/worklist/views/{view.pk}/delete/").status_code == 404
    alice.post(f"/worklist/views/{view.pk}/delete/")
    assert not SavedView.objects.exists()
    assert alice.post("/worklist/views/", {"name": "", "query": ""}).status_code == 422


def test_the_administrator_chooses_the_rule(
    client_of: ClientOf, admin_a: User, north: Site
) -> None:
    adam = client_of(admin_a)
    assert "In the order of arrival" in body(adam.get("/worklist/rule/"))
    wrong = adam.post("/worklist/rule/", {"order": "flags_first", "cap_minutes": "0"})
    assert wrong.status_code == 200
    assert not Rule.objects.exists()
    choice = {"order": "flags_first", "cap_minutes": "45", "idle_minutes": "20"}
    assert adam.post("/worklist/rule/", choice).status_code == 302
    rule = Rule.objects.get(site=north)
    assert (rule.order, rule.cap_minutes, rule.idle_minutes) == (Order.FLAGS_FIRST, 45, 20)
    assert Event.objects.filter(action="worklist.rule", actor_id=admin_a.pk).count() == 1
    assert "has waited 45 min" in body(adam.get("/worklist/"))


# --- Blind-first sites -------------------------------------------------------------------------


def without_moments(text: str) -> str:
    """A page without what differs from one request to the next, whatever it tells."""
    text = re.sub(r'(csrfmiddlewaretoken" value=|X-CSRFToken": )"[^"]+"', "", text)
    text = re.sub(r'data-(idle|age)="[^"]+"', "", text)
    return re.sub(
        r"waits [^<]+|seen=\w+|\"(longest_wait|waiting)_s\":\d+|Longest wait[^<]+", "", text
    )


def test_where_people_read_blind_the_list_does_not_tell_the_flag(
    alice: Client, blind_north: Site, flags_first: Rule, new_study: NewStudy
) -> None:
    """Order, badges, filters, addresses and API: flagged or not, every byte is the same."""
    first, second = new_study(), new_study(seed=2)
    addresses = (
        "/worklist/",
        "/worklist/?flag=yes",
        "/worklist/?flag=no",
        "/worklist/rows/",
        "/api/v1/worklist/",
        "/api/v1/worklist/?flag=yes",
    )
    told = {}
    for flagged in (False, True):
        Entry.objects.filter(pk=second.pk).update(flagged=flagged)
        told[flagged] = [without_moments(body(alice.get(address))) for address in addresses]
    assert told[False] == told[True]
    assert shown(alice.get("/worklist/")) == keys(first, second)
    assert "reads blind first" in told[True][0]
    assert alice.post("/worklist/next/")["Location"] == f"/studies/{first.pk}/"


def test_ones_own_first_impression_shows_the_flag_to_oneself(
    alice: Client, client_of: ClientOf, clinician_a: User, anna: User, blind_north: Site,
    new_study: NewStudy,
) -> None:  # fmt: skip
    study = new_study(flagged=True)
    assert "Flagged</span>" not in body(alice.get("/worklist/"))
    record_first_impression(
        actor=clinician_a, study=study, draft=Draft(impression="normal"), version=0
    )
    assert "Flagged</span>" in body(alice.get("/worklist/"))
    assert shown(alice.get("/worklist/?flag=yes")) == keys(study)
    assert "Flagged</span>" not in body(client_of(anna).get("/worklist/"))
    assert shown(client_of(anna).get("/worklist/?flag=yes")) == []


# --- The API -----------------------------------------------------------------------------------


def test_the_list_over_the_api(
    alice: Client, clinician_a: User, anna: User, new_study: NewStudy, flags_first: Rule
) -> None:
    recent = new_study(minutes_ago=30)
    flagged = new_study(flagged=True, minutes_ago=5, seed=2)
    claims.claim_study(actor=anna, study_id=recent.pk)
    answer = alice.get("/api/v1/worklist/").json()
    assert [one["study"] for one in answer["results"]] == keys(flagged, recent)
    first, second = answer["results"]
    assert (first["flagged"], first["claimed_by"], first["claimed_until"]) == (True, None, None)
    assert (second["flagged"], second["claimed_by"]) == (False, "anna")
    assert second["claimed_until"]
    assert 1790 < second["waiting_s"] < 2400
    assert answer["longest_wait_s"] == pytest.approx(second["waiting_s"], abs=5)
    assert (answer["next"], answer["previous"]) == (None, None)
    only = alice.get("/api/v1/worklist/?claim=free").json()
    assert [one["study"] for one in only["results"]] == keys(flagged)
    assert alice.get("/api/v1/worklist/?status=nonsense").status_code == 422
    assert alice.get("/api/v1/worklist/?after=x").json()["code"] == "bad_cursor"


def test_claiming_over_the_api(
    alice: Client, client_of: ClientOf, anna: User, new_study: NewStudy
) -> None:
    address = f"/api/v1/worklist/{new_study().pk}/claim/"
    assert alice.post(address).json()["claimed_by"] == "alice"
    refused = client_of(anna).post(address)
    assert (refused.status_code, refused.json()["code"]) == (409, "already_claimed")
    assert client_of(anna).delete(address).status_code == 409
    assert alice.delete(address).json()["claimed_by"] is None
    assert client_of(anna).post(address).status_code == 200
