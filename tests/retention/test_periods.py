"""Records go when their time is over, and not a day before."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.core.errors import Forbidden, InvalidInput
from screening.patients.holds import place_hold
from screening.patients.models import Erasure, Patient
from screening.reading.models import Reading
from screening.retention import periods
from screening.retention.models import RetentionRule
from screening.studies.models import Study
from tests.personas import ClientOf, make_patient
from tests.record import rows

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def years_ago(years: float) -> dt.datetime:
    return NOW - dt.timedelta(days=365.25 * years)


def old_patient(site: Site, actor: User, years: float, **more: object) -> Patient:
    """A patient with a study, both so old."""
    patient = make_patient(site, **more)  # type: ignore[arg-type]
    image = rows.send_image(actor, patient)
    Study.objects.filter(pk=image.study_id).update(created_at=years_ago(years))
    Patient.objects.filter(pk=patient.pk).update(updated_at=years_ago(years))
    return patient


def ruled(actor: User, site: Site, years: int | None, minors_until: int | None = None) -> None:
    periods.set_rule(actor=actor, site=site, years=years, minors_until=minors_until)
    RetentionRule.objects.update(effective_at=NOW)


def test_nothing_goes_by_default(admin_a: User, clinician_a: User, north: Site) -> None:
    old_patient(north, clinician_a, 90)
    assert periods.apply_rules() == 0
    ruled(admin_a, north, None)
    assert periods.apply_rules() == 0


def test_the_last_activity_counts_and_only_the_own_site(
    admin_a: User, clinician_a: User, clinician_b: User, north: Site, south: Site
) -> None:
    gone = old_patient(north, clinician_a, 10.1)
    young = old_patient(north, clinician_a, 9.9)
    read = old_patient(north, clinician_a, 15)
    Reading.objects.create(
        study=Study.objects.get(patient=read), site=north, reader=clinician_a, saved_at=NOW
    )
    corrected = old_patient(north, clinician_a, 15)
    Patient.objects.filter(pk=corrected.pk).update(updated_at=years_ago(3))
    elsewhere = old_patient(south, clinician_b, 15)
    held = old_patient(north, clinician_a, 15)
    place_hold(actor=admin_a, patient=held, reason="Court")
    Patient.objects.filter(pk=held.pk).update(updated_at=years_ago(15))
    ruled(admin_a, north, 10)
    found = periods.preview(admin_a, north, years=10, minors_until=None)
    assert [patient.pk for patient in found] == [gone.pk]
    assert periods.apply_rules() == 1
    left = set(Patient.objects.values_list("pk", flat=True))
    assert left == {one.pk for one in (young, read, corrected, elsewhere, held)}
    assert Erasure.objects.get().kind == "retention"
    assert periods.apply_rules() == 0


@pytest.mark.parametrize(
    ("born_years_ago", "goes"), [(24, False), (27.9, False), (28.1, True), (None, True)]
)
def test_the_years_of_a_minor_begin_later(
    born_years_ago: float | None, goes: bool, admin_a: User, clinician_a: User, north: Site
) -> None:
    born = years_ago(born_years_ago).date() if born_years_ago else None
    old_patient(north, clinician_a, 11, birth_date=born)
    ruled(admin_a, north, 10, 18)
    assert periods.apply_rules() == int(goes)


def test_a_rule_rests_for_a_week(admin_a: User, clinician_a: User, north: Site) -> None:
    old_patient(north, clinician_a, 15)
    periods.set_rule(actor=admin_a, site=north, years=10, minors_until=None)
    assert periods.apply_rules() == 0
    assert RetentionRule.objects.get().effective_at > NOW + dt.timedelta(days=6)


def test_a_run_that_is_cut_short_is_gone_on_with(
    admin_a: User, clinician_a: User, north: Site
) -> None:
    for _ in range(3):
        old_patient(north, clinician_a, 15)
    ruled(admin_a, north, 10)
    assert periods.apply_rules(budget_s=0) == 0
    assert periods.apply_rules() == 3


def test_who_may_set_it_and_what(
    admin_a: User, clinician_a: User, admin_b: User, north: Site, client_of: ClientOf
) -> None:
    for actor in (clinician_a, admin_b):
        with pytest.raises(Forbidden):
            ruled(actor, north, 10)
    for years, minors in ((0, None), (101, None), (10, 3)):
        with pytest.raises(InvalidInput):
            ruled(admin_a, north, years, minors)
    client = client_of(admin_a)
    client.post("/site/retention/", {"act": "set", "years": "10", "minors_until": "18"})
    rule = RetentionRule.objects.get(site=north)
    assert (rule.years, rule.minors_until, rule.set_by) == (10, 18, admin_a)
    assert Event.objects.latest("id").action == "retention.set"
    page = client.post("/site/retention/", {"act": "preview", "years": "1"}).content.decode()
    assert "Nobody’s." in page
    assert "Enter the years" in client.post("/site/retention/", {"act": "preview"}).content.decode()


def test_the_29th_of_february() -> None:
    day = dt.datetime(2028, 2, 29, tzinfo=dt.UTC)
    assert periods._years_before(day, 10).date() == dt.date(2018, 2, 28)
    assert periods._years_before(day, 4).date() == dt.date(2024, 2, 28)
