"""The viewer page and what it keeps: measurements with the reading, preferences with the person."""

from __future__ import annotations

import html
import json
import math
import re
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from hypothesis import given
from hypothesis import strategies as st

from ml.phantom import phantom_dicom
from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.core.errors import Conflict, InvalidInput
from screening.inference.models import Result
from screening.patients.models import Patient
from screening.reading import measurements
from screening.reading.blind_first import set_blind_first
from screening.reading.models import Measurements, Reading
from screening.reading.services import Draft, sign_reading
from screening.record.viewer_preferences import DEFAULTS, preferences_of, save_preferences
from screening.studies.models import Image
from screening.studies.services import receive_image
from tests.personas import ClientOf
from tests.record import rows

pytestmark = pytest.mark.django_db

LENGTH = {"kind": "length", "points": [[10, 20], [40, 60]]}
ANGLE = {"kind": "angle", "points": [[100, 50], [50, 50], [50, 100]]}
OUTLINE = [[[0.1, 0.2], [0.3, 0.2], [0.2, 0.8]]]


def config_of(response: HttpResponse) -> dict[str, Any]:
    """What the page tells its script."""
    assert response.status_code == 200
    found = re.search(r'data-config="([^"]+)"', response.content.decode())
    assert found
    config: dict[str, Any] = json.loads(html.unescape(found[1]))
    return config


def opened(client_of: ClientOf, who: User, image: Image, **query: str) -> dict[str, Any]:
    return config_of(client_of(who).get(f"/studies/{image.study_id}/view/", query))


def put(client_of: ClientOf, who: User, image: Image, items: Any) -> HttpResponse:
    return client_of(who).put(
        f"/images/{image.pk}/measurements/",
        {"items": items},
        content_type="application/json",
        headers={"accept": "application/json"},
    )


def dicom_of(actor: User, patient: Patient, *, width: int = 300, height: int = 430) -> Image:
    """A film of which one pixel is 430 mm / height."""
    return receive_image(
        actor=actor,
        patient=patient,
        study_id=uuid4(),
        content=phantom_dicom(2, size=(width, height)),
        original_name="chest.dcm",
        confirm_patient=True,
    ).image


def sign(actor: User, image: Image) -> Reading:
    study = rows.study_of(image)
    draft = Draft(impression="pneumonia", stance="agrees")
    return sign_reading(actor=actor, study=study, draft=draft, version=0)


# --- The page -----------------------------------------------------------------------------------


def test_the_page_names_every_image_but_shows_one(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    first = rows.send_image(clinician_a, patient_a, name="one.png")
    for number in range(2, 6):
        rows.send_image(
            clinician_a, patient_a, study_id=first.study_id, name=f"{number}.png", seed=number
        )
    response = client_of(clinician_a).get(f"/studies/{first.study_id}/view/")
    config = config_of(response)
    assert [one["title"] for one in config["images"]] == [
        "one.png",
        "2.png",
        "3.png",
        "4.png",
        "5.png",
    ]
    assert config["image"] == str(first.pk)
    page = response.content.decode()
    assert page.count('data-pane="') == 1
    sources = re.findall(r'src="(/images/[^"]+)"', page)
    assert sorted(one.rsplit("/", 2)[1] for one in sources) == ["display", *["thumbnail"] * 5]
    event = Event.objects.filter(action="study.view").latest("pk")
    assert (event.object_id, event.detail) == (str(first.study_id), {"page": "viewer"})


def test_overlays_are_offered_where_there_is_an_answer(
    client_of: ClientOf, clinician_a: User, image_a: Image
) -> None:
    before = opened(client_of, clinician_a, image_a)["images"][0]
    assert (before["heatmap"], before["outline"]) == (None, None)
    rows.finish(image_a, carried={**rows.evidence(), "lung_outline": OUTLINE})
    after = opened(client_of, clinician_a, image_a)["images"][0]
    assert after["heatmap"] == f"/images/{image_a.pk}/heatmap/"
    assert after["outline"] == OUTLINE
    Result.objects.update(evidence=rows.evidence())
    assert opened(client_of, clinician_a, image_a)["images"][0]["outline"] is None


def test_a_hidden_answer_shows_neither_heatmap_nor_outline_nor_those_of_a_prior(
    client_of: ClientOf, clinician_a: User, admin_a: User, north: Site, patient_a: Patient
) -> None:
    set_blind_first(actor=admin_a, site=north, is_on=True)
    prior = rows.send_image(clinician_a, patient_a, seed=2)
    image = rows.send_image(clinician_a, patient_a)
    for one in (prior, image):
        rows.finish(one, carried={**rows.evidence(), "lung_outline": OUTLINE})
    response = client_of(clinician_a).get(
        f"/studies/{image.study_id}/view/", {"prior": str(prior.pk)}
    )
    config = config_of(response)
    for one in (config["images"][0], config["prior"]):
        assert (one["heatmap"], one["outline"]) == (None, None)
    assert b"hidden until you have recorded your first impression" in response.content


def test_priors_are_the_patients_own_and_the_last_choice_is_remembered(
    client_of: ClientOf, clinician_a: User, patient_a: Patient, image_b: Image
) -> None:
    older = rows.send_image(clinician_a, patient_a, seed=3)
    newer = rows.send_image(clinician_a, patient_a, seed=2)
    image = rows.send_image(clinician_a, patient_a)
    page = client_of(clinician_a).get(f"/studies/{image.study_id}/view/").content.decode()
    offered = re.findall(r'<option value="([0-9a-f-]{36})"', page)
    assert offered == [str(newer.pk), str(older.pk)]
    assert opened(client_of, clinician_a, image)["prior"] is None
    assert opened(client_of, clinician_a, image, prior=str(older.pk))["prior"]["id"] == str(
        older.pk
    )
    save_preferences(actor=clinician_a, values={"layout": "compare"})
    assert opened(client_of, clinician_a, image)["prior"]["id"] == str(newer.pk)
    assert opened(client_of, clinician_a, image, prior="none")["prior"] is None
    for wrong in (str(image_b.pk), str(image.pk), "nonsense", str(uuid4())):
        response = client_of(clinician_a).get(f"/studies/{image.study_id}/view/", {"prior": wrong})
        assert response.status_code == 404, wrong
    seen = Event.objects.filter(action="study.view", object_id=str(newer.study_id))
    assert seen.latest("pk").detail == {"page": "viewer", "as": "prior"}


def test_an_image_of_another_study_is_not_found(
    client_of: ClientOf, clinician_a: User, patient_a: Patient, image_a: Image
) -> None:
    other = rows.send_image(clinician_a, patient_a, seed=2)
    for wrong in (str(other.pk), "nonsense"):
        response = client_of(clinician_a).get(
            f"/studies/{image_a.study_id}/view/", {"image": wrong}
        )
        assert response.status_code == 404


# --- Measurements -------------------------------------------------------------------------------


def test_measurements_come_back_to_whoever_made_them(
    client_of: ClientOf, clinician_a: User, admin_a: User, image_a: Image
) -> None:
    address = f"/images/{image_a.pk}/measurements/"
    assert client_of(clinician_a).get(address).json() == {"items": [], "locked": False}
    assert put(client_of, clinician_a, image_a, [LENGTH, ANGLE]).status_code == 200
    kept = client_of(clinician_a).get(address).json()
    assert [one["kind"] for one in kept["items"]] == ["length", "angle"]
    assert kept["items"][0]["points"] == LENGTH["points"]
    assert client_of(admin_a).get(address).json()["items"] == []
    put(client_of, clinician_a, image_a, [ANGLE])
    assert len(client_of(clinician_a).get(address).json()["items"]) == 1
    assert Measurements.objects.count() == 1
    events = Event.objects.filter(action="image.measure", actor_id=clinician_a.pk)
    assert [event.detail for event in events.order_by("pk")] == [{"items": 2}, {"items": 1}]


def test_signing_closes_the_measurements_of_the_reader_alone(
    client_of: ClientOf, clinician_a: User, admin_a: User, image_a: Image
) -> None:
    rows.finish(image_a)
    put(client_of, clinician_a, image_a, [LENGTH])
    reading = sign(clinician_a, image_a)
    refused = put(client_of, clinician_a, image_a, [])
    assert refused.status_code == 409
    assert refused.json()["code"] == "already_signed"
    kept = client_of(clinician_a).get(f"/images/{image_a.pk}/measurements/").json()
    assert (len(kept["items"]), kept["locked"]) == (1, True)
    assert put(client_of, admin_a, image_a, [ANGLE]).status_code == 200
    ((image, found),) = measurements.measured_in(reading)
    assert image == image_a
    assert [one.kind for one in found] == ["length"]


def test_nothing_can_be_measured_after_the_signature_where_nothing_was_before(
    clinician_a: User, image_a: Image
) -> None:
    rows.finish(image_a)
    sign(clinician_a, image_a)
    with pytest.raises(Conflict):
        measurements.save_measurements(actor=clinician_a, image=image_a, items=[LENGTH])
    assert not Measurements.objects.exists()


def test_lengths_are_millimetres_where_the_file_tells_and_pixels_elsewhere(
    clinician_a: User, patient_a: Patient, image_a: Image
) -> None:
    film = dicom_of(clinician_a, patient_a)
    found = measurements.measure(LENGTH, film)
    assert (found.unit, found.spacing) == ("mm", "detector")
    assert found.value == pytest.approx(50.0)
    plain = measurements.measure(LENGTH, image_a)
    assert (plain.value, plain.unit, plain.spacing) == (pytest.approx(50.0), "px", "")
    film.pixel_spacing_row_mm, film.pixel_spacing_column_mm = 0.2, 0.1
    assert measurements.measure(LENGTH, film).value == pytest.approx(math.hypot(3, 8))
    film.pixel_spacing_kind = ""
    assert measurements.measure(LENGTH, film).spacing == "unstated"
    assert measurements.measure(ANGLE, image_a).value == pytest.approx(90.0)
    film.pixel_spacing_row_mm = film.pixel_spacing_column_mm = 0.1
    diagonal = {"kind": "angle", "points": [[10, 0], [0, 0], [10, 10]]}
    assert measurements.measure(diagonal, film).value == pytest.approx(45.0)


NONSENSE: list[Any] = [
    None,
    {},
    "length",
    [{"kind": "length"}],
    [{"kind": "area", "points": [[1, 1], [2, 2]]}],
    [{"kind": ["length"], "points": [[1, 1], [2, 2]]}],
    [{"kind": "length", "points": [[1, 1]]}],
    [{"kind": "length", "points": [[1, 1], [2, 2], [3, 3]]}],
    [{"kind": "length", "points": [[1, 1], [2, "2"]]}],
    [{"kind": "length", "points": [[1, 1], [2, True]]}],
    [{"kind": "length", "points": [[1, 1], [2, 1e9]]}],
    [{"kind": "length", "points": [[1, 1], [2, float("nan")]]}],
    [{"kind": "length", "points": [[1, 1], [2, 2]], "text": "<b>"}],
    [LENGTH] * 51,
]


@pytest.mark.parametrize("items", NONSENSE, ids=repr)
def test_what_is_no_measurement_is_refused(items: Any, clinician_a: User, image_a: Image) -> None:
    with pytest.raises(InvalidInput) as refused:
        measurements.save_measurements(actor=clinician_a, image=image_a, items=items)
    assert refused.value.field == "items"


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["kind", "points", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(json_values)
def test_whatever_is_sent_is_kept_whole_or_refused(items: Any) -> None:
    image = Image(width=300, height=400)
    try:
        checked = measurements.checked_items(items, image)
    except InvalidInput:
        return
    assert json.loads(json.dumps(checked, allow_nan=False)) == checked
    assert len(checked) == len(items)


def test_a_body_that_is_no_json_is_refused(
    client_of: ClientOf, clinician_a: User, image_a: Image
) -> None:
    for body in (b"{", b"\xff", b"x" * 70_000):
        for address in (f"/images/{image_a.pk}/measurements/", "/viewer/preferences/"):
            response = client_of(clinician_a).generic(
                "PUT", address, body, headers={"accept": "application/json"}
            )
            assert response.status_code == 422
            assert response.json()["code"] in ("bad_json", "too_large")


# --- Preferences --------------------------------------------------------------------------------


def test_preferences_are_remembered_for_each_person(
    client_of: ClientOf, clinician_a: User, admin_a: User, image_a: Image
) -> None:
    response = client_of(clinician_a).put(
        "/viewer/preferences/",
        {"tool": "length", "opacity": 70, "invert": True},
        content_type="application/json",
    )
    assert response.json() == {**DEFAULTS, "tool": "length", "opacity": 70, "invert": True}
    assert opened(client_of, clinician_a, image_a)["preferences"]["tool"] == "length"
    assert opened(client_of, admin_a, image_a)["preferences"] == DEFAULTS


@pytest.mark.parametrize(
    "values",
    [
        [],
        {"tool": "axe"},
        {"tool": ["window"]},
        {"opacity": 101},
        {"opacity": True},
        {"opacity": 1.5},
        {"invert": "yes"},
        {"layout": None},
        {"new": True},
    ],
    ids=repr,
)
def test_preferences_that_make_no_sense_are_refused(values: Any, clinician_a: User) -> None:
    with pytest.raises(InvalidInput):
        save_preferences(actor=clinician_a, values=values)
    assert preferences_of(clinician_a) == DEFAULTS
