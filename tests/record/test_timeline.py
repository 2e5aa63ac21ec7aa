"""The case record's trend and notes, and two studies beside each other."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.inference.models import Label, ModelVersion, Result
from screening.patients.models import Patient
from screening.reading.blind_first import set_blind_first
from screening.reading.services import Draft, sign_reading
from screening.record import trend
from screening.record.timeline import newest_of
from screening.studies.diagnoses import record_diagnosis
from screening.studies.models import Study
from tests.personas import ClientOf
from tests.record import rows

pytestmark = pytest.mark.django_db


def make_study(
    user: User,
    patient: Patient,
    days_ago: int,
    label: Label | None = Label.PNEUMONIA,
    version: str = "1.2.0",
) -> Study:
    """A study of some days ago with the answer of one version of the model."""
    image = rows.send_image(user, patient, seed=days_ago % 5 + 1)
    if label is not None:
        result = rows.finish(image, label, carried=rows.evidence())
        model, _ = ModelVersion.objects.get_or_create(
            name="phantom-net",
            version=version,
            weights_sha256=version.replace(".", "").ljust(64, "0"),
            defaults={"preprocessing_version": "1", "manifest": {}},
        )
        Result.objects.filter(pk=result.pk).update(model_version=model)
    Study.objects.filter(pk=image.study_id).update(
        created_at=timezone.now() - timedelta(days=days_ago)
    )
    return Study.objects.get(pk=image.study_id)


def page_of(client_of: ClientOf, user: User, patient: Patient) -> str:
    return client_of(user).get(f"/patients/{patient.pk}/").content.decode()


# --- The trend ---------------------------------------------------------------------------------


def test_the_trend_runs_from_the_oldest_to_the_newest(
    clinician_a: User, patient_a: Patient
) -> None:
    for days_ago, label in ((1, Label.NORMAL), (30, Label.COVID), (9, Label.PNEUMONIA)):
        make_study(clinician_a, patient_a, days_ago, label)
    found = trend.trend_of(newest_of(clinician_a, patient_a))
    assert found is not None
    assert [p.image.result.label for p in found.points] == ["covid", "pneumonia", "normal"]
    assert [p.x for p in found.points] == sorted(p.x for p in found.points)
    normal = next(curve for curve in found.curves if curve.label == "normal")
    # More of it stands higher, and heights of an SVG grow downwards.
    assert normal.marks[0].y > normal.marks[2].y
    top, bottom = trend.TOP, trend.BOTTOM
    assert normal.marks[2].y == pytest.approx(bottom - (bottom - top) * 0.962, abs=0.1)
    assert all(len(curve.stretches) == 1 for curve in found.curves)


def test_lines_stop_where_the_model_changes_and_a_mark_says_so(
    clinician_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    for days_ago, version in ((40, "1.0.0"), (30, "1.0.0"), (20, "2.0.0"), (10, "2.0.0")):
        make_study(clinician_a, patient_a, days_ago, version=version)
    found = trend.trend_of(newest_of(clinician_a, patient_a))
    assert found is not None
    assert [change.words for change in found.changes] == ["2.0.0"]
    assert found.points[1].x < found.changes[0].x < found.points[2].x
    assert [len(curve.stretches) for curve in found.curves] == [2, 2, 2]
    page = page_of(client_of, clinician_a, patient_a)
    assert page.count('class="trend-change"') == 1
    assert "style=" not in page
    assert "onclick" not in page


def test_the_numbers_stand_in_a_table(
    clinician_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    make_study(clinician_a, patient_a, 5)
    make_study(clinician_a, patient_a, 4, Label.NORMAL)
    page = page_of(client_of, clinician_a, patient_a)
    table = page.partition('<details class="trend-numbers">')[2].partition("</details>")[0]
    assert re.findall(r">([<\d ]+%)</td>", table) == ["6%", "91%", "3%", "1%", "3%", "96%"]


def test_one_answer_makes_no_trend(
    clinician_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    make_study(clinician_a, patient_a, 5)
    make_study(clinician_a, patient_a, 4, label=None)
    assert "trend-plot" not in page_of(client_of, clinician_a, patient_a)


def test_a_study_is_shown_by_the_image_least_like_normal(
    clinician_a: User, patient_a: Patient
) -> None:
    study = make_study(clinician_a, patient_a, 5, Label.NORMAL)
    worse = rows.send_image(clinician_a, patient_a, study_id=study.pk, seed=9)
    rows.finish(worse, Label.COVID)
    (entry,) = newest_of(clinician_a, patient_a)
    assert entry.leading is not None
    assert entry.leading.image.pk == worse.pk


def test_what_is_hidden_is_left_out_and_counted(
    clinician_a: User, admin_a: User, north: Site, patient_a: Patient, client_of: ClientOf
) -> None:
    make_study(clinician_a, patient_a, 5)
    make_study(clinician_a, patient_a, 4, Label.NORMAL)
    set_blind_first(actor=admin_a, site=north, is_on=True)
    image = rows.send_image(clinician_a, patient_a, seed=3)
    rows.finish(image, Label.COVID, carried=rows.evidence())
    record_diagnosis(
        actor=admin_a,
        study=rows.study_of(image),
        label="covid",
        basis="rt_pcr",
        date=timezone.localdate(),
    )
    page = page_of(client_of, clinician_a, patient_a)
    assert "1 study without an answer to show is left out" in page
    assert "Confirmed:" not in page
    compared = client_of(clinician_a).get(f"/patients/{patient_a.pk}/compare/").content.decode()
    assert "82%" not in compared
    assert "RT-PCR" not in compared


# --- Notes -------------------------------------------------------------------------------------


def test_readings_and_diagnoses_stand_by_their_study(
    clinician_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    study = make_study(clinician_a, patient_a, 2)
    sign_reading(
        actor=clinician_a,
        study=study,
        draft=Draft("normal", "Clear.", "overrides", "Breast."),
        version=0,
    )
    record_diagnosis(
        actor=clinician_a, study=study, label="normal", basis="other", date=timezone.localdate()
    )
    page = page_of(client_of, clinician_a, patient_a)
    assert "read by Alice Archer, signed" in page
    assert "Overrides the AI" in page
    assert "Confirmed: <strong>No finding in the chest</strong>" in page


# --- Comparison --------------------------------------------------------------------------------


def compare(client_of: ClientOf, user: User, patient: Patient, **asked: Any) -> Any:
    return client_of(user).get(f"/patients/{patient.pk}/compare/", asked)


def sides(response: Any) -> tuple[Any, Any]:
    found = response.context["found"]
    return found.left.study.pk, found.right.study.pk


def test_any_two_studies_stand_beside_each_other(
    clinician_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    old, middle, new = (make_study(clinician_a, patient_a, days) for days in (9, 5, 1))
    assert sides(compare(client_of, clinician_a, patient_a)) == (middle.pk, new.pk)
    assert sides(compare(client_of, clinician_a, patient_a, b=middle.pk)) == (old.pk, middle.pk)
    assert sides(compare(client_of, clinician_a, patient_a, b=old.pk)) == (middle.pk, old.pk)
    assert sides(compare(client_of, clinician_a, patient_a, a=new.pk)) == (new.pk, middle.pk)
    response = compare(client_of, clinician_a, patient_a, a=old.pk, b=new.pk)
    assert sides(response) == (old.pk, new.pk)
    page = response.content.decode()
    # Any other pair is one click away, and so is the viewer.
    assert f"a={middle.pk}&amp;b={new.pk}" in page
    assert f"a={old.pk}&amp;b={middle.pk}" in page
    assert f"/studies/{new.pk}/view/?prior={old.pk}" in page
    event = Event.objects.filter(action="study.compare").latest("id")
    assert event.object_id == str(patient_a.pk)
    assert event.detail == {"left": str(old.pk), "right": str(new.pk)}


def test_changes_are_told_in_points_and_models_that_differ_are_named(
    clinician_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    make_study(clinician_a, patient_a, 9, Label.PNEUMONIA)
    make_study(clinician_a, patient_a, 1, Label.NORMAL)
    response = compare(client_of, clinician_a, patient_a)
    assert [c.points for c in response.context["found"].changes] == [-5, -88, 93]
    page = response.content.decode()
    assert "+93 points" in page
    assert "−88 points" in page
    assert "Two different models" not in page
    make_study(clinician_a, patient_a, 0, version="2.0.0")
    assert "Two different models" in compare(client_of, clinician_a, patient_a).content.decode()


def test_no_study_and_a_single_one_are_said(
    clinician_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    assert "no study to compare" in compare(client_of, clinician_a, patient_a).content.decode()
    make_study(clinician_a, patient_a, 1)
    assert "the same study" in compare(client_of, clinician_a, patient_a).content.decode()


def test_studies_of_somebody_else_are_not_found(
    clinician_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    make_study(clinician_a, patient_a, 1)
    other = Patient.objects.create(site=patient_a.site, mrn="N-2", family_name="Other")
    theirs = make_study(clinician_a, other, 1)
    for key in (theirs.pk, uuid4(), "nonsense"):
        assert compare(client_of, clinician_a, patient_a, a=key).status_code == 404
