"""What the patients table promises by itself."""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from screening.accounts.models import Site
from screening.patients.models import Patient
from tests.personas import make_patient


def test_one_record_number_once_per_site_however_written(north: Site, south: Site) -> None:
    make_patient(north, mrn="ab 12")
    make_patient(south, mrn="AB 12")
    with pytest.raises(IntegrityError):
        make_patient(north, mrn="ＡＢ  12")


def test_keys_follow_the_names_when_saved_and_when_created_in_bulk(north: Site) -> None:
    saved = make_patient(north, family_name="Müller", given_name="ÉLODIE")
    assert (saved.family_key, saved.given_key) == ("muller", "elodie")
    Patient.objects.bulk_create([Patient(site=north, mrn="B-1", family_name="Ångström")])
    assert Patient.objects.get(mrn="B-1").family_key == "angstrom"


@pytest.mark.django_db
def test_keys_are_compared_byte_by_byte(north: Site) -> None:
    for name in ("z", "a-b", "ab", "a b", "ä"):
        make_patient(north, family_name=name, given_name=name)
    found = list(Patient.objects.values_list("family_key", flat=True))
    assert found == sorted(found) == ["a", "a b", "a-b", "ab", "z"]
