"""The reading panel, as a clinician meets it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading.answers import answer_of
from screening.reading.measurements import save_measurements
from screening.reading.models import BlindFirstSwitch, Reading
from screening.reading.services import Draft, sign_reading
from screening.studies.models import Study
from tests.personas import ClientOf
from tests.record import rows

pytestmark = pytest.mark.django_db


def page_of(client: Any, study: Study) -> str:
    return str(client.get(f"/studies/{study.pk}/").content.decode())


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, name
    return found[1]


def send(client: Any, study: Study, step: str, *, htmx: bool = False, **data: str) -> Any:
    headers = {"HX-Request": "true"} if htmx else {}
    return client.post(f"/studies/{study.pk}/reading/{step}/", data, headers=headers)


def measured_on(page: str) -> list[str]:
    found = re.findall(r"data-measured>(.*?)</(?:dd|p)>", page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", one).split()) for one in found]


def test_what_is_measured_stands_with_the_reading_it_belongs_to(
    clinician_a: User, colleague_a: User, study_a: Study, client_of: ClientOf
) -> None:
    (image,) = study_a.images.all()
    length = {"kind": "length", "points": [[10, 20], [40, 60]]}
    save_measurements(actor=clinician_a, image=image, items=[length])
    words = "Measured Length 50 px It is signed with your reading."
    assert measured_on(page_of(client_of(clinician_a), study_a)) == [words]
    # A draft is nobody else's.
    assert measured_on(page_of(client_of(colleague_a), study_a)) == []
    draft = Draft(impression="pneumonia", stance="agrees")
    sign_reading(actor=clinician_a, study=study_a, draft=draft, version=0)
    for reader in (clinician_a, colleague_a):
        assert measured_on(page_of(client_of(reader), study_a)) == ["Length 50 px"]


def test_a_signed_reading_leads_to_its_report(
    clinician_a: User, colleague_a: User, study_a: Study, client_of: ClientOf
) -> None:
    door = f'href="/studies/{study_a.pk}/reports/">'
    assert page_of(client_of(clinician_a), study_a).count(door) == 1
    draft = Draft(impression="pneumonia", stance="agrees")
    sign_reading(actor=clinician_a, study=study_a, draft=draft, version=0)
    for reader in (clinician_a, colleague_a):
        assert page_of(client_of(reader), study_a).count(door) == 2


def test_a_draft_keeps_itself_and_comes_back(
    clinician_a: User, study_a: Study, client_of: ClientOf
) -> None:
    client = client_of(clinician_a)
    page = page_of(client, study_a)
    sent = {"version": field(page, "version"), "page": field(page, "page")}
    answer = send(client, study_a, "draft", text="Opacity <right>.", **sent).content.decode()
    assert "Draft saved" in answer
    assert field(answer, "version") == "1"
    again = page_of(client, study_a)
    assert "Opacity &lt;right&gt;." in again
    assert "Draft saved" in again


def test_another_page_is_told_instead_of_overwriting(
    clinician_a: User, study_a: Study, client_of: ClientOf
) -> None:
    client = client_of(clinician_a)
    pages = [page_of(client, study_a) for _ in range(2)]
    sent = [{"version": field(page, "version"), "page": field(page, "page")} for page in pages]
    send(client, study_a, "draft", text="From the first.", **sent[0])
    refused = send(client, study_a, "draft", text="From the second.", **sent[1])
    assert refused.status_code == 409
    told = refused.content.decode()
    assert "was saved from another page" in told
    assert "From the first." in told
    assert Reading.objects.get().text == "From the first."
    # Signing from there says the same, shows both, and keeps what was entered.
    agreed = {"text": "Second.", "impression": "pneumonia", "stance": "agrees"}
    refused = send(client, study_a, "sign", htmx=True, **agreed, **sent[1])
    assert refused.status_code == 409
    panel = refused.content.decode()
    assert "From the first." in panel
    assert "Second.</textarea>" in panel


def test_what_is_missing_is_said_and_nothing_typed_is_lost(
    clinician_a: User, study_a: Study, client_of: ClientOf
) -> None:
    client = client_of(clinician_a)
    data = {"impression": "normal", "stance": "overrides", "text": "Clear."}
    for htmx in (True, False):
        refused = send(client, study_a, "sign", htmx=htmx, **data)
        body = refused.content.decode()
        assert refused.status_code == 422
        assert "Say why you override" in body
        assert "Clear.</textarea>" in body
        assert re.search(r'value="normal"[^>]*checked', body)
        assert ("<html" in body) is not htmx
    assert not Reading.objects.signed().exists()


def test_signed_it_shows_who_and_when_and_takes_addenda(
    clinician_a: User, admin_a: User, study_a: Study, client_of: ClientOf
) -> None:
    client = client_of(clinician_a)
    key = field(page_of(client, study_a), "answer")
    answer = answer_of(study_a)
    assert answer is not None
    assert key == answer.key
    done = send(
        client, study_a, "sign", impression="pneumonia", stance="agrees", text="Left.", answer=key
    )
    assert done["Location"] == f"/studies/{study_a.pk}/#reading"
    reading = Reading.objects.get()
    client_of(admin_a).post(f"/readings/{reading.pk}/addenda/", {"text": "Right, too."})
    page = page_of(client, study_a)
    for words in ("Signed by Alice Archer", "Reading of record", "Left.", "Right, too."):
        assert words in page
    assert "signed by Adam Ashdown" in page
    assert 'id="reading-form"' not in page
    assert "data-next-study" in page
    # A colleague may still read it as well.
    assert "Write a second reading" in page_of(client_of(admin_a), study_a)


def test_a_study_still_analysed_can_be_written_on_but_not_signed(
    clinician_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    client = client_of(clinician_a)
    image = rows.send_image(clinician_a, patient_a)
    study = rows.study_of(image)
    assert "sign once it has ended" in page_of(client, study)
    refused = send(client, study, "sign", htmx=True, impression="normal")
    assert refused.status_code == 409
    assert "still running" in refused.content.decode()
    assert "Draft saved" in send(client, study, "draft", text="Already.").content.decode()
    # The answer that comes meanwhile is brought to the open panel.
    rows.finish(image, Label.NORMAL)
    news = client.get(f"/studies/{study.pk}/state/?view=page&seen=q.q").content.decode()
    assert 'id="reading-answer"' in news
    assert 'data-answer="normal"' in news


def test_blind_first_on_the_page(
    clinician_a: User, blind_study: Study, client_of: ClientOf
) -> None:
    client = client_of(clinician_a)
    page = page_of(client, blind_study)
    assert "Record and show the AI’s answer" in page
    assert "data-answer" not in page
    assert 'name="stance"' not in page
    refused = send(client, blind_study, "first-impression", htmx=True, text="Hm.")
    assert "Choose your impression first." in refused.content.decode()
    done = send(
        client, blind_study, "first-impression", htmx=True, impression="normal", text="Clear."
    )
    assert done["HX-Refresh"] == "true"
    page = page_of(client, blind_study)
    assert "<strong>Normal</strong>" in page
    assert 'data-answer="pneumonia"' in page
    assert 'name="stance"' in page


def test_an_admin_turns_the_switch_and_its_history_stays(
    north: Site, south: Site, admin_a: User, client_of: ClientOf
) -> None:
    client = client_of(admin_a)
    for wanted in ("on", "on", "off"):
        client.post("/site/reading/", {"blind_first": wanted})
    turns = BlindFirstSwitch.objects.all()
    assert [(one.site, one.is_on, one.set_by) for one in turns] == [
        (north, False, admin_a),
        (north, True, admin_a),
    ]
    page = client.get("/site/reading/").content.decode()
    assert page.count("Adam Ashdown</td>") == 2
    events = Event.objects.filter(action="blind_first.set", site_id=north.pk)
    assert [event.detail["is_on"] for event in events.order_by("id")] == [True, False]
    assert client.post("/site/reading/", {"blind_first": "perhaps"}).status_code == 422


def test_lists_say_that_a_study_is_to_be_read_first(
    clinician_a: User, blind_study: Study, client_of: ClientOf
) -> None:
    client = client_of(clinician_a)
    assert "Read first" in client.get("/studies/").content.decode()
    send(client, blind_study, "first-impression", impression="normal")
    page = client.get("/studies/").content.decode()
    assert "Read first" not in page
    assert "91%" in page


def test_a_page_of_hidden_studies_costs_no_more_queries(
    blind_north: Site,
    clinician_a: User,
    patient_a: Patient,
    client_of: ClientOf,
    django_assert_max_num_queries: Any,
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = client_of(clinician_a)
    rows.finish(rows.send_image(clinician_a, patient_a))
    client.get("/studies/")
    with CaptureQueriesContext(connection) as few:
        client.get("/studies/")
    allowed = len(few)
    for seed in range(2, 8):
        image = rows.send_image(clinician_a, patient_a, seed=seed)
        rows.finish(image)
    read = rows.study_of(image)
    send(client, read, "first-impression", impression="normal")
    sign_reading(actor=clinician_a, study=read, draft=Draft("pneumonia", "", "agrees"), version=1)
    with django_assert_max_num_queries(allowed):
        assert client.get("/studies/").content.decode().count("Read first") == 6
