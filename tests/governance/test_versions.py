"""The pages on which a site's admin decides which version answers."""

from __future__ import annotations

import datetime as dt
import html
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from ml.lungs import check_segmenter
from ml.package import load_package
from ml.trust import load_trust
from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.governance.comparison import Comparison, latest_comparison
from screening.governance.models import Aim
from screening.governance.operating_points import choose_operating_point
from screening.governance.promotion import review
from screening.inference import activations, engine, packages, services, shadow
from screening.inference.models import Activation, ModelVersion, Result, ShadowAnswer, ShadowRun
from screening.inference.packages import Package
from screening.patients.models import Patient
from screening.reading.blind_first import set_blind_first
from screening.studies.diagnoses import record_diagnosis
from screening.studies.models import Image, Status
from tests.inference.stages import job_of
from tests.inference.versions import damage, make_version
from tests.personas import *  # noqa: F403
from tests.personas import ClientOf
from tests.radiographs import png, receive
from tests.record import rows

pytestmark = pytest.mark.django_db

REASON = "It misses fewer patients in our own studies."
VERSIONS, PROMOTE = "/models/versions/", "/models/versions/promote/"
SHADOW, COMPARISON = "/models/versions/shadow/", "/models/versions/comparison/"


@pytest.fixture
def candidate(tmp_path: Path, settings: Any) -> Package:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    settings.THORASCREEN_MODELS = str(shelf)
    return make_version(shelf, "9.1.0", bias=(9.0, 0.0, 0.0), covid_threshold=0.7)


@pytest.fixture
def admin(client_of: ClientOf, admin_a: User) -> Client:
    return client_of(admin_a)


def text_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, path
    return words(answer.content)


def words(content: bytes) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", content.decode())).split())


def decide(client: Client, package: Package, site: Site, **more: str) -> Any:
    data = {
        "version": package.fingerprint,
        "seen": activations.answering_at(site.pk).mark,
        "reason": REASON,
        "reviewed": "on",
        **more,
    }
    return client.post(PROMOTE, {key: value for key, value in data.items() if value})


def shadowed(image: Image, candidate: Package, shares: tuple[float, float, float]) -> ShadowAnswer:
    """What a worker leaves behind for a candidate."""
    label = ("covid", "pneumonia", "normal")[shares.index(max(shares))]
    covid, pneumonia, normal = shares
    return ShadowAnswer.objects.create(
        image=image,
        model_version=activations.version_of(candidate),
        fingerprint=candidate.fingerprint,
        status=Status.DONE,
        due_at=dt.datetime.now(dt.UTC),
        label=label,
        p_covid=covid,
        p_pneumonia=pneumonia,
        p_normal=normal,
        called=covid >= 0.7,
        milliseconds=30.0,
        evidence={"shortcut": {"verdict": "unreliable"}, "uncertain": False},
    )


def answered(image: Image, shares: tuple[float, float, float], *, called: bool) -> Result:
    """What a worker leaves behind for the version that answers by default."""
    result = rows.finish(image, shares=shares)
    point = {"called": called, "threshold": 0.4, "sensitivity": 0.9, "specificity": 0.9}
    carried = rows.evidence() | {"operating_point": point}
    label = ("covid", "pneumonia", "normal")[shares.index(max(shares))]
    version = activations.version_of(packages.default_package())
    Result.objects.filter(pk=result.pk).update(
        model_version=version, evidence=carried, label=label, milliseconds=50.0
    )
    return result


@pytest.fixture
def run(candidate: Package, north: Site, admin_a: User) -> ShadowRun:
    return shadow.start_shadow(actor=admin_a, site=north, package=candidate)


@pytest.fixture
def compared(
    run: ShadowRun, candidate: Package, clinician_a: User, patient_a: Patient
) -> list[Image]:
    """Four studies: flagged by both, by the candidate, by the active version, by neither."""
    images = [receive(clinician_a, patient_a, png(seed)) for seed in (1, 2, 3, 4)]
    for image, old, called, new in zip(
        images,
        [(0.9, 0.05, 0.05), (0.3, 0.6, 0.1), (0.6, 0.3, 0.1), (0.1, 0.1, 0.8)],
        [True, False, True, False],
        [(0.95, 0.03, 0.02), (0.8, 0.1, 0.1), (0.5, 0.4, 0.1), (0.2, 0.1, 0.7)],
        strict=True,
    ):
        answered(image, old, called=called)
        shadowed(image, candidate, new)
    return images


# --- The list ----------------------------------------------------------------------------------


def test_the_list_says_what_answers_what_is_there_and_what_is_broken(
    admin: Client, candidate: Package
) -> None:
    broken = make_version(candidate.folder.parent, "9.2.0")
    damage(broken)
    page = text_of(admin, VERSIONS)
    assert f"Answers here {packages.default_package()} Nobody has decided yet" in page
    assert "thorascreen 9.1.0 70%" in page
    assert "thorascreen 9.2.0 Broken The model's file model.tflite is not the one" in page
    assert "model_hash_mismatch" in page
    assert f"?version={candidate.fingerprint}" in admin.get(VERSIONS).content.decode()


def test_a_version_that_must_answer_and_cannot_is_shouted(
    admin: Client, candidate: Package, north: Site
) -> None:
    assert decide(admin, candidate, north).status_code == 302
    engine._kept.clear()
    damage(candidate)
    page = text_of(admin, VERSIONS)
    assert "thorascreen 9.1.0 should answer here and can’t." in page
    assert "No other version answers in its place" in page
    assert text_of(admin, f"{PROMOTE}?version={packages.default_package().fingerprint}").count(
        "thorascreen 9.1.0 can’t answer."
    )


def test_a_link_leads_there_for_admins_alone(
    client_of: ClientOf, clinician_a: User, admin_a: User
) -> None:
    link = f'href="{VERSIONS}"'
    assert link in client_of(admin_a).get("/models/").content.decode()
    assert link not in client_of(clinician_a).get("/models/").content.decode()
    assert link in client_of(admin_a).get("/site/").content.decode()


# --- Promoting ---------------------------------------------------------------------------------


def test_the_review_shows_both_operating_points_and_warns_without_a_shadow(
    admin: Client, candidate: Package
) -> None:
    page = text_of(admin, f"{PROMOTE}?version={candidate.fingerprint}")
    default = packages.default_package()
    assert default.point is not None
    assert f"Now: {default} COVID-19 is called from {default.point.threshold * 100:.4g}%" in page
    assert "Then: thorascreen 9.1.0 COVID-19 is called from 70%" in page
    assert "known way to do harm" in page
    assert "it has not answered any of them in shadow" in page


def test_the_review_counts_what_each_would_have_flagged(
    compared: list[Image], admin: Client, north: Site, candidate: Package
) -> None:
    found = review(north, candidate).flagged
    assert found is not None
    # 0.95, 0.8, 0.5, 0.2 against 70 %, and against the default's own threshold.
    assert (found.old.hits, found.new.hits, found.old.total) == (2, 2, 4)
    default = packages.default_package()
    assert default.point is not None
    at_old = sum(share >= default.point.threshold for share in (0.95, 0.8, 0.5, 0.2))
    assert found.new_at_old_threshold is not None
    assert found.new_at_old_threshold.hits == at_old
    page = text_of(admin, f"{PROMOTE}?version={candidate.fingerprint}")
    assert "4 studies of this site that both have answered" in page
    assert "the old threshold not used" in page


def test_a_promotion_is_made_and_keeps_what_was_reviewed(
    compared: list[Image], admin: Client, north: Site, candidate: Package, admin_a: User
) -> None:
    answer = decide(admin, candidate, north)
    assert (answer.status_code, answer["Location"]) == (302, VERSIONS)
    row = Activation.objects.get()
    assert (row.site, row.actor, row.reason, row.kind) == (north, admin_a, REASON, "promote")
    assert row.thresholds["new"] == {
        "threshold": 0.7,
        "sensitivity": 1.0,
        "specificity": pytest.approx(0.5, abs=0.01),
        "chosen_by": "model",
    }
    assert row.thresholds["shadow"]["studies"] == 4
    page = text_of(admin, VERSIONS)
    assert "thorascreen 9.1.0 Promoted by Adam Ashdown" in page
    assert REASON in page
    assert "Roll back…" in page


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"reviewed": ""}, 422, "Say that you have reviewed the thresholds"),
        ({"reason": ""}, 422, "Say why"),
        ({"reason": "better"}, 422, "at least 10 characters"),
        ({"seen": "7.something"}, 409, "has changed in the meantime"),
        ({"seen": ""}, 409, "has changed in the meantime"),
    ],
)
def test_a_promotion_that_lacks_something_changes_nothing(
    change: dict[str, str],
    status: int,
    sentence: str,
    admin: Client,
    north: Site,
    candidate: Package,
) -> None:
    answer = decide(admin, candidate, north, **change)
    assert answer.status_code == status
    assert sentence in words(answer.content)
    assert not Activation.objects.exists()


@pytest.mark.parametrize("version", ["", "0" * 64, "../../etc", "\x00"])
def test_what_is_not_installed_is_not_there(admin: Client, version: str) -> None:
    assert admin.get(PROMOTE, {"version": version}).status_code == 404
    assert admin.post(PROMOTE, {"version": version}).status_code == 404
    assert admin.post(SHADOW, {"version": version}).status_code == 404


def test_a_broken_version_is_not_offered_and_not_taken(
    admin: Client, north: Site, candidate: Package
) -> None:
    damage(candidate)
    assert decide(admin, candidate, north).status_code == 404
    assert not Activation.objects.exists()


def test_a_sites_operating_point_stays_with_its_version(
    admin: Client,
    north: Site,
    admin_a: User,
    candidate: Package,
    clinician_a: User,
    patient_a: Patient,
) -> None:
    choose_operating_point(
        actor=admin_a,
        site=north,
        package=packages.default_package(),
        aim=Aim.THRESHOLD,
        threshold=0.123,
        reason="We want to miss nobody.",
    )
    page = text_of(admin, f"{PROMOTE}?version={candidate.fingerprint}")
    assert "Your site chose 12.3% for" in page
    assert "Then: thorascreen 9.1.0 COVID-19 is called from 70%" in page
    decide(admin, candidate, north)
    image = receive(clinician_a, patient_a)
    services.run_job(job_of(image).pk)
    point = Result.objects.get(image=image).evidence["operating_point"]
    assert (point["threshold"], point.get("origin")) == (0.7, None)


def test_rolling_back_goes_by_the_same_review(
    admin: Client, north: Site, candidate: Package
) -> None:
    default = packages.default_package()
    decide(admin, candidate, north)
    page = text_of(admin, f"{PROMOTE}?version={default.fingerprint}")
    assert f"Roll back to {default}" in page
    assert "answered here before" in page
    decide(admin, default, north)
    assert list(Activation.objects.values_list("kind", flat=True)) == ["roll_back", "promote"]


def test_the_way_back_is_counted_on_the_studies_of_the_shadow(
    compared: list[Image], admin: Client, north: Site, candidate: Package
) -> None:
    decide(admin, candidate, north)
    found = review(north, packages.default_package())
    assert found.is_reversed
    flagged = found.flagged
    assert flagged is not None
    # The default said 0.9, 0.3, 0.6 and 0.1; the version that answers now calls from 70 % on.
    trust = load_trust(load_package(packages.default_package().folder), check_segmenter())
    calls_from = trust.tables["covid"].choose().threshold
    called = sum(share >= calls_from for share in (0.9, 0.3, 0.6, 0.1))
    assert (flagged.old.hits, flagged.new.hits, flagged.old.total) == (2, called, 4)
    assert flagged.new_at_old_threshold is not None
    assert flagged.new_at_old_threshold.hits == 1


def test_the_way_back_from_a_broken_version_does_not_make_up_its_thresholds(
    admin: Client, north: Site, candidate: Package
) -> None:
    decide(admin, candidate, north)
    damage(candidate)
    default = packages.default_package()
    page = text_of(admin, f"{PROMOTE}?version={default.fingerprint}")
    assert "thorascreen 9.1.0 can’t answer." in page
    assert "Its thresholds can’t be read: this version is broken." in page
    assert decide(admin, default, north).status_code == 302


# --- Shadow ------------------------------------------------------------------------------------


def test_a_candidate_is_switched_on_looked_back_with_and_off(
    admin: Client,
    north: Site,
    candidate: Package,
    clinician_a: User,
    patient_a: Patient,
) -> None:
    image = receive(clinician_a, patient_a)
    services.run_job(job_of(image).pk)
    assert admin.post(SHADOW, {"version": candidate.fingerprint}).status_code == 302
    assert "In shadow thorascreen 9.1.0" not in text_of(admin, "/models/")
    assert admin.post(f"{SHADOW}look-back/", {"count": "10"}).status_code == 302
    page = text_of(admin, VERSIONS)
    assert "1 image is asked for." in page
    assert "Answered 0 Waiting 1 Failed 0" in page
    shadow.answer(ShadowAnswer.objects.get().pk)
    assert "Answered 1 Waiting 0 Failed 0" in text_of(admin, VERSIONS)
    admin.post(f"{SHADOW}look-back/", {"count": "10"})
    assert "asked about all of these before" in text_of(admin, VERSIONS)
    assert admin.post(f"{SHADOW}stop/").status_code == 302
    assert "No version runs in shadow." in text_of(admin, VERSIONS)
    actions = set(Event.objects.values_list("action", flat=True))
    assert {"shadow.start", "shadow.look_back", "shadow.stop", "shadow.answer"} <= actions


@pytest.mark.parametrize("count", ["0", "-4", "1001", "many", ""])
def test_a_strange_number_is_refused_on_the_page(count: str, admin: Client, run: ShadowRun) -> None:
    answer = admin.post(f"{SHADOW}look-back/", {"count": count})
    assert answer.status_code == 422
    assert b"field-error" in answer.content


def test_a_failing_candidate_says_why_on_the_page(
    admin: Client, run: ShadowRun, candidate: Package, clinician_a: User, patient_a: Patient
) -> None:
    image = receive(clinician_a, patient_a)
    services.run_job(job_of(image).pk)
    engine._kept.clear()
    damage(candidate)
    shadow.answer(ShadowAnswer.objects.get().pk)
    page = text_of(admin, VERSIONS)
    assert "Failed 1" in page
    assert "Failed 1 time. The model's files are not the ones that were released" in page


def test_no_clinician_ever_sees_what_a_candidate_says(
    compared: list[Image], client_of: ClientOf, clinician_a: User
) -> None:
    client = client_of(clinician_a)
    study = compared[1].study_id
    for path in (
        f"/studies/{study}/",
        f"/studies/{study}/state/",
        "/studies/",
        "/models/",
        f"/api/v1/studies/{study}/",
    ):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert b"9.1.0" not in answer.content, path
    assert b"9.1.0" not in client.get(f"/patients/{compared[0].study.patient_id}/").content


# --- Over the API ------------------------------------------------------------------------------


def test_the_api_says_what_answers_and_what_cannot(
    admin: Client,
    client_of: ClientOf,
    clinician_a: User,
    clinician_b: User,
    north: Site,
    candidate: Package,
) -> None:
    default = packages.default_package()
    (told,) = client_of(clinician_a).get("/api/v1/models/").json()
    assert told == {
        "site": "North Hospital",
        "name": default.name,
        "version": default.version,
        "fingerprint": default.fingerprint,
        "since": None,
        "code": None,
        "message": None,
    }
    decide(admin, candidate, north)
    damage(candidate)
    (told,) = client_of(clinician_a).get("/api/v1/models/").json()
    assert (told["version"], told["code"]) == ("9.1.0", "model_hash_mismatch")
    assert told["since"] is not None
    (theirs,) = client_of(clinician_b).get("/api/v1/models/").json()
    assert (theirs["site"], theirs["version"]) == ("South Hospital", default.version)


# --- Comparing ---------------------------------------------------------------------------------


def found_at(site: Site) -> Comparison:
    found = latest_comparison(site)
    assert found is not None
    return found


def test_the_comparison_counts_right(compared: list[Image], north: Site) -> None:
    found = found_at(north)
    assert str(found.active) == str(packages.default_package())
    assert (found.agreement.hits, found.agreement.total) == (3, 4)
    low, high = found.agreement.interval or (0, 0)
    assert (round(low, 3), round(high, 3)) == (0.301, 0.954)  # Wilson 1927
    assert [[count for _, count, _ in cells] for _, cells in found.matrix] == [
        [2, 0, 0],
        [1, 0, 0],
        [0, 0, 1],
    ]
    assert found.newly_flagged == [compared[1].study_id]
    assert found.no_longer_flagged == [compared[2].study_id]
    covid = found.shifts[0]
    assert covid.mean == pytest.approx((0.05 + 0.5 - 0.1 + 0.1) / 4)
    assert covid.interval is not None
    assert covid.interval[0] < covid.mean < covid.interval[1]
    assert [share.hits for share in found.unreliable] == [0, 4]
    assert found.milliseconds == (50.0, 30.0)
    assert found.accuracy is None


def test_confirmed_diagnoses_judge_both(
    compared: list[Image], north: Site, clinician_a: User, admin: Client
) -> None:
    for image, label in zip(compared, ("covid", "covid", "normal", "other"), strict=True):
        record_diagnosis(
            actor=clinician_a,
            study=image.study,
            label=label,
            basis="rt_pcr",
            date=dt.date(2026, 1, 1),
        )
    assert found_at(north).accuracy is not None
    old, new = found_at(north).accuracy or (None, None)
    assert old is not None
    assert new is not None
    assert (old.sensitivity.hits, old.sensitivity.total) == (1, 2)
    assert (old.specificity.hits, old.specificity.total) == (1, 2)
    assert (new.sensitivity.hits, new.specificity.hits) == (2, 2)
    page = text_of(admin, COMPARISON)
    assert "4 studies with a confirmed diagnosis" in page
    assert "thorascreen 9.1.0 100.0% (34.2–100.0) 2/2" in page


def test_the_page_links_to_the_studies_whose_flag_changes(
    compared: list[Image], admin: Client
) -> None:
    source = admin.get(COMPARISON).content.decode()
    assert f'href="/studies/{compared[1].study_id}/"' in source
    assert f'href="/studies/{compared[2].study_id}/"' in source
    assert f'href="/studies/{compared[0].study_id}/"' not in source
    event = Event.objects.filter(action="shadow.compare").latest("id")
    assert event.detail == {"candidate": "thorascreen 9.1.0", "images": 4}


def test_a_study_to_be_read_blind_is_counted_and_not_named(
    north: Site,
    admin_a: User,
    run: ShadowRun,
    candidate: Package,
    clinician_a: User,
    patient_a: Patient,
    admin: Client,
) -> None:
    set_blind_first(actor=admin_a, site=north, is_on=True)
    image = receive(clinician_a, patient_a)
    answered(image, (0.3, 0.6, 0.1), called=False)
    shadowed(image, candidate, (0.8, 0.1, 0.1))
    answer = admin.get(COMPARISON)
    assert str(image.study_id).encode() not in answer.content
    assert "1 study is not named: you have not read it" in words(answer.content)


def test_another_sites_studies_are_not_in_it(
    compared: list[Image],
    candidate: Package,
    south: Site,
    admin_b: User,
    clinician_b: User,
    patient_b: Patient,
    client_of: ClientOf,
) -> None:
    shadow.start_shadow(actor=admin_b, site=south, package=candidate)
    theirs = receive(clinician_b, patient_b)
    answered(theirs, (0.9, 0.05, 0.05), called=True)
    shadowed(theirs, candidate, (0.1, 0.1, 0.8))
    found = found_at(south)
    assert len(found.pairs) == 1
    assert found.no_longer_flagged == [theirs.study_id]
    source = client_of(admin_b).get(COMPARISON).content.decode()
    assert not any(str(image.study_id) in source for image in compared)


def test_only_images_that_both_answered_are_compared(
    run: ShadowRun, candidate: Package, north: Site, clinician_a: User, patient_a: Patient
) -> None:
    both, real_only, shadow_only, third = (
        receive(clinician_a, patient_a, png(seed)) for seed in (1, 2, 3, 4)
    )
    answered(both, (0.9, 0.05, 0.05), called=True)
    answered(real_only, (0.9, 0.05, 0.05), called=True)
    rows.refuse(shadow_only)
    rows.finish(third)
    for image in (both, shadow_only, third):
        shadowed(image, candidate, (0.95, 0.03, 0.02))
    found = found_at(north)
    assert [pair.study_id for pair in found.pairs] == [both.study_id]
    assert (found.only_candidate, found.answered_by_others) == (1, 1)


def test_after_its_promotion_a_candidate_is_held_against_what_it_replaced(
    compared: list[Image], admin: Client, north: Site, candidate: Package
) -> None:
    before = found_at(north)
    decide(admin, candidate, north)
    after = found_at(north)
    assert (after.active, after.agreement) == (before.active, before.agreement)
    assert b"Review and promote" not in admin.get(COMPARISON).content


def test_without_a_shadow_there_is_nothing_to_compare(admin: Client) -> None:
    assert "No version has run in shadow here" in text_of(admin, COMPARISON)


def test_the_pages_take_few_queries_however_much_was_compared(
    compared: list[Image], admin: Client, django_assert_max_num_queries: Any
) -> None:
    assert ModelVersion.objects.count() >= 2
    for path in (VERSIONS, COMPARISON):
        admin.get(path)
        with django_assert_max_num_queries(45):
            admin.get(path)
