"""Somebody who works at two sites: pages say which, registering asks, the history is one list."""

from __future__ import annotations

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone

from screening.accounts.models import Membership, Site, User
from screening.patients.models import Patient
from screening.record import selectors
from screening.studies.models import Study
from tests.personas import ClientOf, make_patient
from tests.record import rows


@pytest.fixture
def both(clinician_a: User, south: Site) -> User:
    """Alice, who also works at South."""
    Membership.objects.create(user=clinician_a, site=south, role="clinician")
    return clinician_a


@pytest.fixture
def alice(both: User, client_of: ClientOf) -> Client:
    return client_of(both)


def test_registering_asks_where_the_record_belongs(
    alice: Client, south: Site, clinician_b: User, client_of: ClientOf
) -> None:
    typed = {"family_name": "Two", "mrn": "T-1"}
    assert "Choose the site" in alice.get("/patients/new/").content.decode()
    assert alice.post("/patients/new/", typed).status_code == 200
    assert not Patient.objects.exists()
    alice.post("/patients/new/", {**typed, "site": str(south.pk)})
    assert Patient.objects.get().site == south
    assert 'name="site"' not in client_of(clinician_b).get("/patients/new/").content.decode()


def test_over_the_api_the_site_can_be_named(
    alice: Client, north: Site, south: Site, both: User
) -> None:
    elsewhere = Site.objects.create(name="West Hospital")

    def register(mrn: str, **more: str) -> int:
        sent = {"family_name": "Two", "mrn": mrn, **more}
        return alice.post("/api/v1/patients/", sent, content_type="application/json").status_code

    assert register("T-1") == 201
    assert register("T-2", site=str(south.pk)) == 201
    assert register("T-3", site=str(elsewhere.pk)) == 422
    kept = dict(Patient.objects.values_list("mrn", "site__name"))
    assert kept == {"T-1": north.name, "T-2": south.name}


def test_pages_say_where_a_row_belongs(
    alice: Client, both: User, patient_a: Patient, patient_b: Patient, clinician_b: User,
    client_of: ClientOf,
) -> None:  # fmt: skip
    study = rows.send_image(clinician_b, patient_b).study_id
    rows.send_image(both, patient_a, seed=2)
    pages = ["/", "/studies/", "/worklist/", "/patients/", f"/patients/{patient_b.pk}/",
             f"/patients/{patient_b.pk}/upload/", f"/studies/{study}/"]  # fmt: skip
    for path in pages:
        text = alice.get(path).content.decode()
        main = text.partition("<main")[2].partition("</main>")[0]
        assert "South Hospital" in main, path
        own = client_of(clinician_b).get(path).content.decode()
        assert "South Hospital" not in own.partition("<main")[2].partition("</main>")[0], path


def test_the_history_of_two_sites_is_one_list_forth_and_back(
    both: User, patient_a: Patient, patient_b: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "PAGE_SIZE", 3)
    hidden = make_patient(Site.objects.create(name="West Hospital"))
    now = timezone.now()
    expected = []
    for number in range(10):
        patient = (patient_a, patient_b)[number % 3 == 0]
        study = Study.objects.create(patient=patient, site=patient.site, uploaded_by=both)
        Study.objects.filter(pk=study.pk).update(created_at=now - dt.timedelta(minutes=number))
        expected.append(study.pk)
    Study.objects.create(patient=hidden, site=hidden.site, uploaded_by=both)
    wanted = selectors.HistoryFilter()
    forth, back = [], []
    page = selectors.study_history(both, wanted)
    while True:
        forth.append([card.study.pk for card in page.cards])
        if not page.older:
            break
        page = selectors.study_history(both, wanted, before=page.older)
    assert [pk for keys in forth for pk in keys] == expected
    while page.newer:
        page = selectors.study_history(both, wanted, after=page.newer)
        back.append([card.study.pk for card in page.cards])
    assert back == forth[-2::-1]
    assert selectors.history_exceeds(both, wanted, 9)
    assert not selectors.history_exceeds(both, wanted, 10)
