"""A site's own figures: what is counted, what is not, and what the page says of it."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.governance.calibration import Question, Target, Unit, calibrate, versions_at
from screening.governance.choices import calibration_hash
from screening.governance.models import SiteOperatingPoint
from screening.governance.roc import Counts
from screening.inference import packages
from screening.inference.activations import version_of
from screening.inference.models import ModelVersion, ShadowAnswer
from screening.studies.models import ConfirmedDiagnosis, Status
from tests.governance.answers import answered_study, version
from tests.personas import ClientOf, make_patient

pytestmark = pytest.mark.django_db

PAGE = "/site/calibration/"


def question(**values: Any) -> Question:
    today = timezone.localdate()
    given = {"since": today - dt.timedelta(days=30), "until": today, **values}
    given.setdefault("version", version())
    return Question(**given)


def words(body: str) -> str:
    text = re.sub(r"<(svg|style|script).*?</\1>", " ", body, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_a_study_counts_once_with_its_highest_score(
    admin_a: User, clinician_a: User, north: Site
) -> None:
    answered_study(clinician_a, north, p_covid=(0.2, 0.9, 0.4), diagnosis="covid")
    answered_study(clinician_a, north, p_covid=(0.3,), diagnosis="pneumonia")
    answered_study(clinician_a, north, p_covid=(0.99,), called=True)
    found = calibrate(actor=admin_a, site=north, question=question())
    assert sorted(found.cases.scores.tolist()) == [0.3, 0.9]
    assert (found.cases.positives, found.cases.negatives, found.patients) == (1, 1, 2)
    assert found.area is not None
    assert found.area.value == 1.0
    coverage = found.coverage
    assert (coverage.studies, coverage.confirmed) == (3, 2)
    assert (coverage.called, coverage.called_confirmed) == (1, 0)
    assert coverage.is_lopsided


def test_who_had_what_depends_on_what_is_to_be_found(
    admin_a: User, clinician_a: User, north: Site
) -> None:
    for label in ("covid", "pneumonia", "normal", "other"):
        answered_study(clinician_a, north, p_covid=(0.4,), p_normal=0.1, diagnosis=label)
    positives = {}
    for target in Target:
        found = calibrate(actor=admin_a, site=north, question=question(target=target))
        positives[target.value] = found.cases.positives
        scores = {round(score, 6) for score in found.cases.scores.tolist()}
        assert scores == {{"covid": 0.4, "pneumonia": 0.5, "abnormal": 0.9}[target.value]}
    assert positives == {"covid": 1, "pneumonia": 1, "abnormal": 3}


def test_a_patient_counts_once_where_that_is_asked(
    admin_a: User, clinician_a: User, north: Site
) -> None:
    patient = make_patient(north)
    now = timezone.now()
    for days, score in ((1, 0.2), (3, 0.8), (2, 0.5)):
        answered_study(
            clinician_a,
            north,
            p_covid=(score,),
            diagnosis="covid",
            patient=patient,
            arrived=now - dt.timedelta(days=days),
        )
    answered_study(clinician_a, north, p_covid=(0.1,), diagnosis="normal")
    by_study = calibrate(actor=admin_a, site=north, question=question())
    assert (by_study.cases.positives, by_study.patients) == (3, 2)
    by_patient = calibrate(actor=admin_a, site=north, question=question(unit=Unit.PATIENT))
    assert by_patient.cases.scores.tolist() == [0.8, 0.1]


def test_other_sites_other_models_other_times_do_not_count(
    admin_a: User, clinician_a: User, clinician_b: User, north: Site, south: Site
) -> None:
    answered_study(clinician_a, north, diagnosis="covid")
    answered_study(clinician_b, south, diagnosis="covid")
    answered_study(clinician_a, north, diagnosis="covid", model=version(number="1.1.1"))
    long_ago = timezone.now() - dt.timedelta(days=90)
    answered_study(clinician_a, north, diagnosis="covid", arrived=long_ago)
    found = calibrate(actor=admin_a, site=north, question=question())
    assert (found.coverage.studies, found.cases.positives) == (1, 1)
    assert found.curve is None
    assert {str(one) for one in versions_at(north)} == {"thorascreen 9.9.9", "thorascreen 1.1.1"}
    assert {str(one) for one in versions_at(south)} == {"thorascreen 9.9.9"}


def test_a_superseded_diagnosis_does_not_count(
    admin_a: User, clinician_a: User, north: Site
) -> None:
    study = answered_study(clinician_a, north, diagnosis="covid")
    ConfirmedDiagnosis.objects.filter(study=study).update(superseded_at=timezone.now())
    found = calibrate(actor=admin_a, site=north, question=question())
    assert (found.coverage.studies, found.coverage.confirmed) == (1, 0)


def test_that_it_was_asked_is_on_record(admin_a: User, clinician_a: User, north: Site) -> None:
    answered_study(clinician_a, north, diagnosis="covid")
    calibrate(actor=admin_a, site=north, question=question())
    event = Event.objects.get(action="calibration.view")
    assert (event.actor_id, event.site_id) == (admin_a.pk, north.pk)
    assert event.detail["confirmed"] == 1


def test_the_table_holds_the_point_in_force(admin_a: User, clinician_a: User, north: Site) -> None:
    answered_study(clinician_a, north, p_covid=(0.9,), diagnosis="covid")
    answered_study(clinician_a, north, p_covid=(0.2,), diagnosis="normal")
    found = calibrate(actor=admin_a, site=north, question=question(), in_force=0.137)
    marked = [row for row in found.rows() if row.is_in_force]
    assert [(row.threshold, row.counts) for row in marked] == [(0.137, Counts(1, 0, 1, 0))]
    thresholds = [row.threshold for row in found.rows()]
    assert thresholds == sorted(thresholds)


# ---- the page --------------------------------------------------------------------------------


@pytest.fixture
def installed_version() -> ModelVersion:
    """The model that ships, as if it had answered here."""
    return version_of(packages.default_package())


def fill(
    user: User, site: Site, model: ModelVersion, positives: int, negatives: int, seed: int = 1
) -> None:
    rng = np.random.default_rng(seed)
    for number in range(positives + negatives):
        has_it = number < positives
        logit = rng.normal(1.5 if has_it else -1.0, 1.0)
        score = float(1 / (1 + np.exp(-logit)))
        answered_study(
            user,
            site,
            p_covid=(score,),
            diagnosis="covid" if has_it else "normal",
            called=score > 0.4,
            model=model,
        )


def test_a_site_without_answers_is_told_so(admin_a: User, client_of: ClientOf) -> None:
    text = words(client_of(admin_a).get(PAGE).content.decode())
    assert "No model has answered at your site yet" in text


def test_too_few_cases_are_shown_but_no_threshold_is_proposed(
    admin_a: User,
    clinician_a: User,
    north: Site,
    installed_version: ModelVersion,
    client_of: ClientOf,
) -> None:
    fill(clinician_a, north, installed_version, 5, 12)
    body = client_of(admin_a).get(PAGE).content.decode()
    text = words(body)
    assert "No threshold is proposed: that takes 30 cases" in text
    assert "There are 5 and 12." in text
    assert "Fewer than 100 cases on one side" in text
    assert "Use this threshold" not in text
    assert body.count("<svg xmlns") == 3


def test_a_proposed_threshold_can_be_put_in_force(
    admin_a: User,
    clinician_a: User,
    north: Site,
    installed_version: ModelVersion,
    client_of: ClientOf,
) -> None:
    fill(clinician_a, north, installed_version, 40, 60)
    client = client_of(admin_a)
    page = client.get(PAGE, {"goal": "sensitivity", "wanted": "90"})
    text = words(page.content.decode())
    assert "Only studies with a confirmed diagnosis are counted." in text
    proposal = page.context["found"].proposal
    assert proposal.apparent.sensitivity >= 0.9
    address = page.context["use_address"]
    choosing = client.get(address)
    asked = parse_qs(urlsplit(address).query)
    reason = asked["reason"][0]
    assert "40 cases with COVID-19 and 60 without" in reason
    assert "Aim: a sensitivity of at least 90.0%" in reason
    assert reason in choosing.content.decode()
    form = choosing.context["form"]
    sent = {
        "model": asked["model"][0],
        "seen": form.initial["seen"],
        "choice": "threshold",
        "threshold": asked["threshold"][0],
        "reason": reason,
    }
    assert client.post("/site/operating-points/", sent).status_code == 302
    row = SiteOperatingPoint.objects.get()
    assert row.threshold == pytest.approx(proposal.threshold, abs=1e-12)
    assert row.calibration_sha256 == calibration_hash(installed_version.manifest)
    # The calibration shows it among the thresholds from then on.
    after = client.get(PAGE)
    assert after.context["found"].in_force == row.threshold
    assert "in force" in words(after.content.decode())


def test_only_covid_can_be_called(
    admin_a: User,
    clinician_a: User,
    north: Site,
    installed_version: ModelVersion,
    client_of: ClientOf,
) -> None:
    fill(clinician_a, north, installed_version, 35, 35)
    page = client_of(admin_a).get(PAGE, {"target": "abnormal"})
    assert page.context["found"].proposal is not None
    assert page.context["use_address"] == ""
    assert "The portal calls COVID-19 alone" in words(page.content.decode())


def test_a_model_that_is_gone_can_be_looked_at_but_not_set(
    admin_a: User, clinician_a: User, north: Site, client_of: ClientOf
) -> None:
    fill(clinician_a, north, version(), 35, 35)
    page = client_of(admin_a).get(PAGE)
    assert page.context["found"].proposal is not None
    assert page.context["use_address"] == ""
    assert "not installed any more" in words(page.content.decode())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"since": "2026-03-01", "until": "2026-02-01"}, "The last day lies before the first."),
        ({"since": "0001-01-01"}, "Enter a date between 1900 and 2999."),
        ({"wanted": "20"}, "greater than or equal to 50"),
        ({"model": "another"}, "Select a valid choice"),
        ({"target": "flu"}, "Select a valid choice"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_what_is_wrong(
    admin_a: User,
    clinician_a: User,
    north: Site,
    client_of: ClientOf,
    asked: dict[str, str],
    said: str,
) -> None:
    answered_study(clinician_a, north, diagnosis="covid")
    answer = client_of(admin_a).get(PAGE, asked)
    assert answer.status_code == 422
    assert said in words(answer.content.decode())


def test_no_patient_stands_on_the_page(
    admin_a: User, clinician_a: User, north: Site, client_of: ClientOf
) -> None:
    patient = make_patient(north, family_name="Unmistakable")
    answered_study(clinician_a, north, p_covid=(0.8,), diagnosis="covid", patient=patient)
    answered_study(clinician_a, north, p_covid=(0.1,), diagnosis="normal")
    assert "Unmistakable" not in client_of(admin_a).get(PAGE).content.decode()


def test_a_candidate_in_shadow_can_be_measured_before_it_is_promoted(
    admin_a: User, clinician_a: User, north: Site
) -> None:
    candidate = version(number="10.0.0")
    for label, score in (("covid", 0.7), ("normal", 0.2)):
        study = answered_study(clinician_a, north, diagnosis=label)
        ShadowAnswer.objects.create(
            image=study.images.get(),
            model_version=candidate,
            fingerprint="f" * 64,
            status=Status.DONE,
            due_at=timezone.now(),
            label="covid",
            p_covid=score,
            p_pneumonia=0.0,
            p_normal=1.0 - score,
            called=score > 0.5,
            evidence={"operating_point": {"called": score > 0.5}},
        )
    assert versions_at(north) == [version(), candidate]
    found = calibrate(actor=admin_a, site=north, question=question(version=candidate))
    assert sorted(found.cases.scores.tolist()) == [0.2, 0.7]
    assert (found.coverage.called, found.coverage.others) == (1, 1)


def test_predictive_values_can_be_told_at_the_prevalence_of_all_patients(
    admin_a: User,
    clinician_a: User,
    north: Site,
    installed_version: ModelVersion,
    client_of: ClientOf,
) -> None:
    fill(clinician_a, north, installed_version, 40, 60)
    client = client_of(admin_a)
    here = client.get(PAGE).context["found"]
    page = client.get(PAGE, {"prevalence": "2"})
    rare = page.context["found"]
    assert "PPV and NPV where 2.0% have it" in words(page.content.decode())
    assert rare.proposal.threshold == here.proposal.threshold
    assert rare.proposal.expected.ppv < here.proposal.expected.ppv
    assert client.get(PAGE, {"prevalence": "0"}).status_code == 422
