"""Finding events: what an admin sees, what nobody of another site does, and pages that add up."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.audit.models import Event, Outcome
from screening.audit.services import record
from screening.oversight import selectors
from screening.oversight.selectors import Search
from screening.patients.models import Patient
from tests.audit.chains import as_committed
from tests.personas import ClientOf, make_patient

AUDIT = "/site/audit/"


def shown(response: Any) -> list[str]:
    """The actions on a page, newest first, without those that came with looking at the audit."""
    assert response.status_code == 200
    found = re.findall(r'data-action="([^"]+)"', response.content.decode())
    return [action for action in found if not action.startswith(("audit.", "session."))]


@pytest.fixture
def history(
    clinician_a: User, admin_a: User, clinician_b: User, patient_a: Patient, patient_b: Patient
) -> None:
    record("patient.view", patient_a, actor=clinician_a)
    record("patient.update", patient_a, actor=admin_a, detail={"fields": ["sex"]})
    record("patient.view", patient_b, actor=clinician_b)
    record("access.deny", actor=clinician_a, site_id=patient_a.site_id, outcome=Outcome.DENIED)
    record("session.refuse", clinician_a, outcome=Outcome.FAILED)  # Belongs to no site.
    record("storage.sweep", detail={"removed": 0})


def test_admins_see_their_own_site_and_siteless_events_about_their_people(
    history: None, admin_a: User, admin_b: User, clinician_a: User
) -> None:
    seen = selectors.find(admin_a, Search()).events
    assert [event.action for event in seen] == [
        "session.refuse",
        "access.deny",
        "patient.update",
        "patient.view",
    ]
    assert [event.action for event in selectors.find(admin_b, Search()).events] == ["patient.view"]
    assert selectors.find(clinician_a, Search()).events == []
    assert set(seen) == set(selectors.visible_to(admin_a))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"who": "alice"}, ["access.deny", "patient.view"]),
        ({"who": "Arch"}, ["access.deny", "patient.view"]),
        ({"who": "bob"}, []),
        ({"mrn": "n-1001"}, ["patient.update", "patient.view"]),
        ({"mrn": "S-2001"}, []),
        ({"action": "write"}, ["patient.update"]),
        ({"action": "patient.view"}, ["patient.view"]),
        ({"outcome": "denied"}, ["access.deny"]),
        ({"outcome": "denied", "action": "read"}, []),
        ({"mrn": "N-1001", "who": "adam"}, ["patient.update"]),
        ({"since": "2999-01-01"}, []),
        ({"until": "1999-01-01"}, []),
        ({"request": "nothing-like-it"}, []),
    ],
)
def test_a_search(
    history: None, client_of: ClientOf, admin_a: User, query: dict[str, str], found: list[str]
) -> None:
    assert shown(client_of(admin_a).get(AUDIT, query)) == found


def test_by_object_by_request_and_by_day(
    history: None, client_of: ClientOf, admin_a: User, patient_a: Patient, patient_b: Patient
) -> None:
    client = client_of(admin_a)
    by_object = client.get(AUDIT, {"object": str(patient_a.pk)})
    assert shown(by_object) == ["patient.update", "patient.view"]
    assert shown(client.get(AUDIT, {"object": str(patient_b.pk)})) == []
    client.get("/patients/", headers={"X-Request-ID": "request-of-adam"})
    assert shown(client.get(AUDIT, {"request": "request-of-adam"})) == ["patient.search"]
    today = timezone.localdate()
    span = {"since": today.isoformat(), "until": today.isoformat()}
    assert len(shown(client.get(AUDIT, span))) == 4
    tomorrow = (today + timedelta(days=1)).isoformat()
    assert shown(client.get(AUDIT, {"since": tomorrow})) == []


def test_what_makes_no_sense_is_no_fault(client_of: ClientOf, admin_a: User) -> None:
    client = client_of(admin_a)
    assert client.get(AUDIT, {"action": "nonsense", "since": "x"}).status_code == 200
    assert client.get(AUDIT, {"before": "x"}).status_code == 422
    assert client.get(AUDIT, {"before": "9" * 40}).status_code == 422
    assert client.get(f"{AUDIT}export/", {"since": "x"}).status_code == 422
    assert client.get(f"{AUDIT}export/", {"format": "xml"}).status_code == 404
    assert client.get(AUDIT, {"who": "=cmd\x00", "object": "'"}).status_code == 200


@pytest.mark.parametrize("search", [Search(), Search(actions=("patient.view", "patient.update"))])
def test_pages_lead_through_everything_and_back(
    admin_a: User, clinician_a: User, patient_a: Patient, search: Search
) -> None:
    for number in range(11):
        action = "patient.view" if number % 3 else "patient.update"
        record(action, patient_a, actor=clinician_a)
    everything = list(Event.objects.order_by("-pk").values_list("pk", flat=True))
    first = selectors.find(admin_a, search, size=4)
    assert first.newer is None
    found, page = [*first.events], first
    while page.older is not None:
        page = selectors.find(admin_a, search, before=page.older, size=4)
        found += page.events
    assert [event.pk for event in found] == everything
    assert page.newer is not None
    back = selectors.find(admin_a, search, after=page.newer, size=4)
    assert [event.pk for event in back.events] == everything[4:8]


class TestExport:
    def test_the_table_is_safe_in_a_spreadsheet(
        self, client_of: ClientOf, admin_a: User, north: Site
    ) -> None:
        record("site.create", north, site_id=north.pk, detail={"note": "x"})
        Event(action="=1+1", site_id=north.pk)
        odd = Event(action="session.start", actor_name="=cmd()", site_id=north.pk)
        odd.seal()
        odd.save()
        response = client_of(admin_a).get(f"{AUDIT}export/")
        text = b"".join(response).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text)))
        assert "'=cmd()" in {row["who"] for row in rows}
        assert "Made a site" in {row["what"] for row in rows}
        [event] = Event.objects.filter(action="audit.export")
        assert event.detail == {"by": [], "format": "csv"}

    def test_anybody_can_verify_the_lines(
        self, history: None, client_of: ClientOf, admin_a: User
    ) -> None:
        as_committed()
        response = client_of(admin_a).get(f"{AUDIT}export/", {"format": "jsonl"})
        lines = [json.loads(line) for line in b"".join(response).splitlines()]
        chained = [line for line in lines if line["hash"]]
        assert len(chained) >= 4
        for line in lines:
            assert hashlib.sha256(line["canonical"].encode()).hexdigest() == line["digest"]
        for line in chained:
            link = (line["previous"] + line["digest"]).encode()
            assert hashlib.sha256(link).hexdigest() == line["hash"]
        assert "storage.sweep" not in {line["action"] for line in lines}

    def test_it_holds_what_the_search_shows(
        self, history: None, client_of: ClientOf, admin_a: User
    ) -> None:
        asked = {"format": "jsonl", "mrn": "N-1001"}
        response = client_of(admin_a).get(f"{AUDIT}export/", asked)
        lines = [json.loads(line) for line in b"".join(response).splitlines()]
        assert [line["action"] for line in lines] == ["patient.update", "patient.view"]


class TestAccesses:
    def test_who_looked_and_when(
        self, history: None, client_of: ClientOf, clinician_a: User, patient_a: Patient
    ) -> None:
        response = client_of(clinician_a).get(f"/patients/{patient_a.pk}/accesses/")
        assert shown(response) == ["patient.update", "patient.view"]
        text = response.content.decode()
        assert "Alice Archer (alice)" in text
        assert "Opened the case record" in text
        again = client_of(clinician_a).get(f"/patients/{patient_a.pk}/accesses/")
        assert shown(again)[0] == "patient.accesses"

    def test_somebody_of_another_site_came_in_an_emergency(
        self,
        history: None,
        client_of: ClientOf,
        clinician_a: User,
        clinician_b: User,
        patient_a: Patient,
    ) -> None:
        client = client_of(clinician_a)
        address = f"/patients/{patient_a.pk}/accesses/"
        assert "emergency access" not in client.get(address).content.decode()
        record("patient.view", patient_a, actor=clinician_b)
        text = client.get(address).content.decode()
        assert text.count("emergency access") == 1
        assert text.index("Bob Barley") < text.index("emergency access")

    def test_the_case_record_leads_there(
        self, client_of: ClientOf, clinician_a: User, patient_a: Patient
    ) -> None:
        page = client_of(clinician_a).get(f"/patients/{patient_a.pk}/").content.decode()
        assert f'href="/patients/{patient_a.pk}/accesses/"' in page

    def test_another_patient_is_another_list(
        self, history: None, client_of: ClientOf, clinician_a: User, north: Site
    ) -> None:
        other = make_patient(north)
        page = client_of(clinician_a).get(f"/patients/{other.pk}/accesses/")
        assert shown(page) == []
