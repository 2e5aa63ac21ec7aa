"""A site's own operating point: chosen with a reason, kept for ever, used from then on."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden, InvalidInput
from screening.governance import choices, selectors
from screening.governance.models import Aim, SiteOperatingPoint
from screening.governance.operating_points import choose_operating_point, provide_point
from screening.inference import engine, packages, services
from screening.inference.models import Job, Result
from screening.inference.packages import Package
from screening.inference.replay import replay_result
from screening.patients.models import Patient
from tests.personas import ClientOf
from tests.radiographs import receive

PAGE = "/site/operating-points/"


@pytest.fixture(scope="module")
def package() -> Package:
    return packages.default_package()


def choose(actor: User, site: Site, package: Package, **values: Any) -> SiteOperatingPoint:
    given = {"aim": Aim.SENSITIVITY, "target": 0.99, "reason": "Cohort ward", **values}
    return choose_operating_point(actor=actor, site=site, package=package, **given)


def answer(user: User, patient: Patient) -> Result:
    image = receive(user, patient)
    services.run_job(Job.objects.get(image=image).pk)
    return Result.objects.get(image=image)


def test_what_is_offered_keeps_what_it_promises(package: Package) -> None:
    offered = choices.choices_of(package)
    assert offered[0].aim == Aim.PACKAGE
    assert {Aim.SENSITIVITY, Aim.SPECIFICITY} <= {choice.aim for choice in offered}
    for choice in offered:
        if choice.aim == Aim.SENSITIVITY:
            assert choice.point.sensitivity >= (choice.target or 0)
        if choice.aim == Aim.SPECIFICITY:
            assert choice.point.specificity >= (choice.target or 0)


@pytest.mark.django_db
def test_a_choice_is_kept_with_its_reason(admin_a: User, north: Site, package: Package) -> None:
    before = selectors.point_in_force(north, package)
    assert before.row is None
    made = choose(admin_a, north, package)
    now = selectors.point_in_force(north, package)
    assert (now.row, now.is_sites) == (made, True)
    assert now.point.sensitivity >= 0.99
    assert now.point.threshold < before.point.threshold
    assert (made.reason, made.chosen_by, made.number) == ("Cohort ward", admin_a, 1)
    event = Event.objects.get(action="operating_point.choose")
    assert (event.actor_id, event.site_id) == (admin_a.pk, north.pk)
    assert event.detail["threshold"] == made.threshold


@pytest.mark.django_db
def test_another_site_is_not_touched(
    admin_a: User, north: Site, south: Site, package: Package
) -> None:
    choose(admin_a, north, package)
    assert not selectors.point_in_force(south, package).is_sites


@pytest.mark.django_db
def test_going_back_to_the_models_own_point(admin_a: User, north: Site, package: Package) -> None:
    own = selectors.point_in_force(north, package).point
    choose(admin_a, north, package)
    back = choose(admin_a, north, package, aim=Aim.PACKAGE, target=None, reason="Trial is over")
    now = selectors.point_in_force(north, package)
    assert (now.row, now.is_sites, now.point) == (back, False, own)
    assert [row.number for row in selectors.points_chosen(admin_a, north)] == [2, 1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"aim": "guess"}, "choice"),
        ({"target": None}, "choice"),
        ({"target": 0.2}, "choice"),
        ({"aim": Aim.THRESHOLD, "target": None}, "threshold"),
        ({"aim": Aim.THRESHOLD, "threshold": 0.0}, "threshold"),
        ({"aim": Aim.THRESHOLD, "threshold": 1.0}, "threshold"),
        ({"reason": "   "}, "reason"),
        ({"reason": "x" * 2001}, "reason"),
    ],
)
def test_what_makes_no_sense_is_refused(
    admin_a: User, north: Site, package: Package, values: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        choose(admin_a, north, package, **values)
    assert refused.value.field == field
    assert not SiteOperatingPoint.objects.exists()


@pytest.mark.django_db
def test_only_an_admin_of_the_site_chooses(
    clinician_a: User, admin_b: User, north: Site, package: Package
) -> None:
    for stranger in (clinician_a, admin_b):
        with pytest.raises(Forbidden):
            choose(stranger, north, package)


@pytest.mark.django_db
def test_two_admins_do_not_overrule_each_other_unseen(
    admin_a: User, north: Site, package: Package
) -> None:
    first = choose(admin_a, north, package, seen="")
    with pytest.raises(Conflict, match="in the meantime"):
        choose(admin_a, north, package, seen="")
    choose(admin_a, north, package, seen=first.pk, target=0.95)


@pytest.mark.django_db
def test_the_database_lets_no_choice_be_changed(
    admin_a: User, north: Site, package: Package
) -> None:
    made = choose(admin_a, north, package)
    for statement in (
        "UPDATE governance_siteoperatingpoint SET threshold = 0.9",
        "DELETE FROM governance_siteoperatingpoint",
    ):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
    made.refresh_from_db()
    assert made.threshold != 0.9


@pytest.mark.django_db
def test_answers_are_given_at_the_sites_point_and_keep_it(
    admin_a: User, clinician_a: User, north: Site, patient_a: Patient, package: Package
) -> None:
    before = answer(clinician_a, patient_a)
    made = choose(admin_a, north, package, aim=Aim.THRESHOLD, threshold=1e-6)
    after = answer(clinician_a, patient_a)
    choose(admin_a, north, package, aim=Aim.PACKAGE, target=None)
    point = after.evidence["operating_point"]
    assert (point["threshold"], point["called"]) == (1e-6, True)
    assert point["origin"] == {
        "chosen": "site",
        "id": str(made.pk),
        "aim": "threshold",
        "target": None,
        "by": "Adam Ashdown",
        "at": made.chosen_at.isoformat(),
    }
    assert "origin" not in before.evidence["operating_point"]
    assert replay_result(after).identical
    assert replay_result(before).identical
    assert "origin" not in answer(clinician_a, patient_a).evidence["operating_point"]


@pytest.mark.django_db
def test_a_threshold_is_not_used_beside_another_calibration(
    admin_a: User, clinician_a: User, north: Site, patient_a: Patient, package: Package
) -> None:
    choose(admin_a, north, package, aim=Aim.THRESHOLD, threshold=1e-6)
    manifest = {**(package.manifest or {}), "calibration": {"temperature": 3.0}}
    other = dataclasses.replace(package, manifest=manifest)
    now = selectors.point_in_force(north, other)
    assert (now.is_stale, now.is_sites) == (True, False)
    assert now.point.threshold > 1e-6
    identity = engine.ModelIdentity(
        name=package.name,
        version=package.version,
        weights_sha256=package.weights_sha256,
        preprocessing_version="1",
        manifest=manifest,
    )
    assert provide_point(north.pk, identity) is None
    assert (
        provide_point(north.pk, dataclasses.replace(identity, manifest=package.manifest or {}))
        is not None
    )


@pytest.mark.django_db
def test_an_admin_chooses_on_the_page(
    admin_a: User, north: Site, package: Package, client_of: ClientOf
) -> None:
    client = client_of(admin_a)
    text = client.get(PAGE).content.decode()
    assert "the site has not chosen another" in text
    values = {"model": package.fingerprint, "seen": "", "reason": "Fewer false calls"}
    answer = client.post(PAGE, {**values, "choice": "specificity-0.99"}, follow=True)
    text = answer.content.decode()
    assert "From now on COVID-19 is called from" in text
    assert "Specificity first. Chosen by Adam Ashdown" in text
    assert "Fewer false calls" in text
    row = SiteOperatingPoint.objects.get()
    assert (row.aim, row.target, row.site) == ("specificity", 0.99, north)


@pytest.mark.django_db
def test_a_typed_threshold_is_in_per_cent(
    admin_a: User, package: Package, client_of: ClientOf
) -> None:
    client = client_of(admin_a)
    values = {"model": package.fingerprint, "choice": "threshold", "reason": "As measured here"}
    refused = client.post(PAGE, values)
    assert refused.status_code == 422
    assert "Enter a threshold between 0 and 100%." in refused.content.decode()
    assert client.post(PAGE, {**values, "threshold": "101"}).status_code == 422
    assert client.post(PAGE, {**values, "threshold": "12.5"}).status_code == 302
    assert SiteOperatingPoint.objects.get().threshold == pytest.approx(0.125)


@pytest.mark.django_db
def test_a_calibration_can_fill_the_form(admin_a: User, client_of: ClientOf) -> None:
    page = client_of(admin_a).get(PAGE, {"threshold": "12.5", "reason": "Measured <here>"})
    text = page.content.decode()
    assert 'value="12.5"' in text
    assert "Measured &lt;here&gt;" in text
    assert not SiteOperatingPoint.objects.exists()


@pytest.mark.django_db
def test_a_model_that_is_gone_is_not_confused_with_another(
    admin_a: User, client_of: ClientOf
) -> None:
    values = {"model": "0" * 64, "choice": "package", "reason": "x"}
    answer = client_of(admin_a).post(PAGE, values)
    assert answer.status_code == 409
    assert not SiteOperatingPoint.objects.exists()
