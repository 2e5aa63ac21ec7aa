"""Human alone, AI alone, human with AI: the counting, and what the page and the file say."""

from __future__ import annotations

import csv
import datetime as dt
import io
from math import comb
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.operating import wilson
from screening.accounts.models import Site, User
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading.accuracy import TARGETS, Scope, Tally, compare, figures_for
from screening.reading.services import Draft, record_first_impression, sign_reading
from screening.reading.statistics import mcnemar_exact
from screening.studies.diagnoses import record_diagnosis
from screening.studies.models import Study
from tests.personas import ClientOf, make_user
from tests.record import rows

COVID, PNEUMONIA, ABNORMAL = TARGETS


def test_wilson_as_published() -> None:
    """Newcombe 1998, table I, without correction."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


@settings(deadline=None)
@given(st.integers(0, 80), st.integers(0, 80))
def test_mcnemar_is_the_two_sided_binomial(better: int, worse: int) -> None:
    n = better + worse
    as_extreme = sum(comb(n, k) for k in range(n + 1) if comb(n, k) <= comb(n, better))
    assert mcnemar_exact(better, worse) == pytest.approx(as_extreme / 2**n)


def test_mcnemar_by_hand() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(6, 0) == pytest.approx(2 / 64)
    assert mcnemar_exact(5000, 5100) == pytest.approx(0.3247, abs=1e-3)


def test_each_arm_is_counted_by_hand() -> None:
    tallies = [
        Tally("normal", "covid", "covid", "covid", 6),  # the AI helped
        Tally("covid", "normal", "normal", "covid", 2),  # the AI misled
        Tally("normal", "normal", "normal", "normal", 10),
        Tally("unsure", "covid", "normal", "normal", 3),  # can't tell was wrong, then right
        Tally("pneumonia", "pneumonia", "unsure", "pneumonia", 4),
        Tally("other", "normal", "other", "other", 5),
    ]
    found = compare(tallies, COVID, blind=True)
    assert (found.positives, found.negatives) == (8, 22)
    shares = {
        arm.key: (arm.sensitivity.hits, arm.specificity.hits, arm.specificity.total)
        for arm in found.arms
    }
    assert shares == {"human": (2, 19, 22), "ai": (6, 19, 22), "both": (6, 18, 22)}
    minds = found.minds
    assert minds is not None
    assert (minds.both_right, minds.better, minds.worse, minds.both_wrong) == (15, 9, 6, 0)
    assert minds.p == pytest.approx(mcnemar_exact(9, 6))
    abnormal = compare(tallies, ABNORMAL, blind=True)
    assert (abnormal.positives, abnormal.negatives) == (17, 13)
    human = abnormal.arms[0]
    assert (human.sensitivity.hits, human.specificity.hits) == (2 + 4 + 5, 10)
    assert found.is_thin


def a_reading(
    reader: User,
    patient: Patient,
    first: str,
    final: str,
    truth: str | None,
    label: Label = Label.PNEUMONIA,
) -> None:
    """A blind reading of a study, and what the patient turned out to have."""
    image = rows.send_image(reader, patient, seed=uuid4().int % 50, study_id=uuid4())
    rows.finish(image, label, carried=rows.evidence())
    study = rows.study_of(image)
    version = 0
    if first:
        draft = Draft(first)
        version = record_first_impression(actor=reader, study=study, draft=draft, version=0).version
    stance = "agrees" if final == label else "overrides"
    sign_reading(
        actor=reader, study=study, draft=Draft(final, "", stance, "Seen so."), version=version
    )
    if truth:
        for label_ in ("other", truth):  # the first one is corrected, and counts no more
            record_diagnosis(
                actor=reader,
                study=study,
                label=label_,
                basis="final_diagnosis",
                date=dt.date(2026, 11, 20),
            )


MINE = Scope("mine", "")
ALL = Scope("all", "")


def test_only_what_can_be_judged_is_counted(
    blind_north: Site, clinician_a: User, admin_a: User, colleague_a: User, patient_a: Patient
) -> None:
    a_reading(clinician_a, patient_a, "normal", "pneumonia", "pneumonia")
    a_reading(clinician_a, patient_a, "normal", "normal", None)
    a_reading(colleague_a, patient_a, "covid", "covid", "normal")
    blind, everything = figures_for(clinician_a, MINE)
    assert (blind.readings, everything.readings) == (1, 1)
    assert (blind.changed, blind.blind) == (1, 2), "a changed mind needs no diagnosis"
    pneumonia = blind.compared[1]
    assert [arm.sensitivity.hits for arm in pneumonia.arms] == [0, 1, 1]
    assert pneumonia.minds is not None
    assert pneumonia.minds.better == 1
    assert figures_for(admin_a, ALL)[0].readings == 2
    assert figures_for(admin_a, MINE)[0].readings == 0


def test_whoever_knew_the_diagnosis_is_not_judged_by_it(
    blind_north: Site, clinician_a: User, admin_a: User, patient_a: Patient
) -> None:
    a_reading(clinician_a, patient_a, "normal", "pneumonia", "pneumonia")
    study = Study.objects.get()
    sign_reading(actor=admin_a, study=study, draft=Draft("pneumonia", "", "agrees"), version=0)
    assert figures_for(admin_a, MINE)[1].readings == 0
    assert figures_for(clinician_a, MINE)[1].readings == 1


def test_readings_that_were_not_blind_say_nothing_of_the_human_alone(
    clinician_a: User, patient_a: Patient
) -> None:
    a_reading(clinician_a, patient_a, "", "pneumonia", "pneumonia")
    blind, everything = figures_for(clinician_a, MINE)
    assert (blind.readings, everything.readings) == (0, 1)
    assert [arm.key for arm in everything.compared[0].arms] == ["ai", "both"]


def test_everybody_sees_the_own_figures_and_admins_all(
    blind_north: Site,
    clinician_a: User,
    admin_a: User,
    admin_b: User,
    colleague_a: User,
    patient_a: Patient,
    client_of: ClientOf,
) -> None:
    a_reading(colleague_a, patient_a, "normal", "pneumonia", "pneumonia")
    of_anna = f"/readings/figures/?whose={colleague_a.pk}"
    page = client_of(colleague_a).get("/readings/figures/").content.decode()
    assert "changed for the better" in page
    assert "Too few to say much: 1 with it and 0 without" in page
    assert "Whose readings" not in page
    for stranger in (clinician_a, admin_b):
        assert client_of(stranger).get(of_anna).status_code == 404
    assert client_of(clinician_a).get("/readings/figures/?whose=all").status_code == 404
    assert client_of(admin_a).get(of_anna).status_code == 200
    nothing = client_of(admin_b).get("/readings/figures/?whose=all").content.decode()
    assert "None yet" in nothing


def test_the_file_runs_no_formula(
    blind_north: Site, north: Site, admin_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    evil = make_user(north, username="evil", first_name='=HYPERLINK("http://x")', last_name="+1")
    a_reading(evil, patient_a, "normal", "pneumonia", "pneumonia")
    response = client_of(admin_a).get("/readings/figures.csv")
    assert response["Content-Disposition"] == 'attachment; filename="readers-and-ai.csv"'
    body = b"".join(response.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    lines = list(csv.DictReader(io.StringIO(body)))
    assert {line["whose"] for line in lines} == {
        "My readings",
        "All readings of record",
        '\'=HYPERLINK("http://x") +1',
    }
    (told,) = (
        line
        for line in lines
        if line["whose"].startswith("'=")
        and (line["readings"], line["target"]) == ("read blind first", "Pneumonia, not COVID-19")
        and line["arm"] == "Human with AI"
    )
    assert (told["sensitivity"], told["changed to right"], told["specificity"]) == ("1.0", "1", "")
    assert told["too few to say much"] == "yes"
    own = b"".join(client_of(evil).get("/readings/figures.csv").streaming_content)  # type: ignore[attr-defined]
    assert b"All readings" not in own
