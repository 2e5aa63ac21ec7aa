"""Readings over the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from screening.accounts.models import User
from screening.accounts.services.tokens import issue_token
from screening.audit.models import Event
from screening.reading.models import Reading
from screening.studies.models import Study

pytestmark = pytest.mark.django_db


class Caller:
    """A program that acts as ``user`` on the readings of one study."""

    def __init__(self, user: User, study: Study) -> None:
        self.client = Client(headers={"Authorization": f"Token {issue_token(user=user)}"})
        self.root = f"/api/v1/studies/{study.pk}/readings/"

    def get(self) -> Any:
        return self.client.get(self.root).json()

    def post(self, step: str, **data: Any) -> tuple[int, Any]:
        where = step if step.startswith("/") else f"{self.root}{step}/"
        response = self.client.post(where, json.dumps(data), content_type="application/json")
        return response.status_code, response.json()


def test_the_whole_life(clinician_a: User, admin_a: User, blind_study: Study) -> None:
    caller, other = Caller(clinician_a, blind_study), Caller(admin_a, blind_study)
    assert caller.get() == {"answer_hidden": True, "draft": None, "readings": []}

    status, draft = caller.post("draft", text="Hm.")
    assert (status, draft["version"], draft["signed_at"]) == (200, 1, None)
    assert caller.get()["draft"]["text"] == "Hm."
    assert other.get()["draft"] is None

    status, body = caller.post("sign", version=1, impression="normal")
    assert (status, body["code"]) == (409, "first_impression_needed")
    status, first = caller.post("first-impression", version=1, impression="normal", text="Hm.")
    assert (status, first["first_impression"]["impression"]) == (201, "normal")
    assert caller.get()["answer_hidden"] is False
    assert other.get()["answer_hidden"] is True

    status, body = caller.post("sign", version=2, impression="normal", stance="overrides")
    assert (status, body["fields"].keys()) == (422, {"reason"})
    status, signed = caller.post(
        "sign", version=2, impression="normal", stance="overrides", reason="A breast shadow."
    )
    assert status == 201
    assert (signed["of_record"], signed["ai_label"], signed["ai_called"]) == (
        True,
        "pneumonia",
        False,
    )
    status, addendum = other.post(f"/api/v1/readings/{signed['id']}/addenda/", text="I agree.")
    assert (status, addendum["author"]) == (201, "Adam Ashdown")

    found = other.get()
    assert found["answer_hidden"] is False
    (reading,) = found["readings"]
    assert reading["reader"] == "Alice Archer"
    assert [one["text"] for one in reading["addenda"]] == ["I agree."]
    assert reading["first_impression"]["text"] == "Hm."
    assert caller.get()["draft"] is None
    assert Event.objects.filter(action="reading.list").exists()


def test_an_old_version_is_told_so(clinician_a: User, study_a: Study) -> None:
    caller = Caller(clinician_a, study_a)
    caller.post("draft", text="One.")
    caller.post("draft", version=1, text="Two.")
    status, body = caller.post("draft", version=1, text="Stale.")
    assert (status, body["code"]) == (409, "draft_overtaken")
    assert caller.get()["draft"]["text"] == "Two."


@pytest.mark.parametrize(
    "data",
    [
        {"impression": "flu"},
        {"stance": "no"},
        {"version": -1},
        {"text": "x" * 20_001},
        {"text": "nul \x00"},
        {"version": 7, "text": "There is no seventh."},
    ],
)
def test_nonsense_is_refused(data: dict[str, Any], clinician_a: User, study_a: Study) -> None:
    status, body = Caller(clinician_a, study_a).post("draft", **data)
    assert status in (400, 422)
    assert body["code"] == "invalid"
    assert body["fields"].keys() <= data.keys()
    assert not Reading.objects.exists()


def test_the_study_says_that_its_answer_is_hidden(clinician_a: User, blind_study: Study) -> None:
    caller = Caller(clinician_a, blind_study)
    where = f"/api/v1/studies/{blind_study.pk}/"
    before = caller.client.get(where).json()
    assert before["answer_hidden"] is True
    (image,) = before["images"]
    assert [image[name] for name in ("label", "probabilities", "model", "evidence", "heatmap")] == [
        None
    ] * 5
    caller.post("first-impression", impression="normal")
    after = caller.client.get(where).json()
    assert after["answer_hidden"] is False
    assert after["images"][0]["label"] == "pneumonia"
