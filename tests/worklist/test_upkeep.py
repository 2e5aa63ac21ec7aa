"""Entries follow their studies, in the same transaction."""

from __future__ import annotations

from importlib import import_module
from io import StringIO

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import transaction

from screening.accounts.models import User
from screening.inference.models import Label, ModelVersion
from screening.patients.models import Patient
from screening.reading.services import Draft, sign_reading
from screening.studies.models import Status, Study
from screening.studies.services import set_image_status
from screening.worklist import claims
from screening.worklist.models import Entry
from tests.record import rows
from tests.worklist.conftest import NewStudy, evidence_of, send_study


def sign(user: User, study: Study) -> None:
    draft = Draft(impression="normal", stance="agrees")
    sign_reading(actor=user, study=study, draft=draft, version=0)


def test_a_study_is_on_the_list_from_its_first_image_on(
    clinician_a: User, patient_a: Patient
) -> None:
    image = rows.send_image(clinician_a, patient_a)
    entry = Entry.objects.get()
    study = rows.study_of(image)
    assert (entry.pk, entry.site_id, entry.patient_id) == (study.pk, study.site_id, patient_a.pk)
    assert entry.arrived_at == study.created_at
    assert (entry.status, entry.flagged, entry.closed_at) == (Status.QUEUED, False, None)


def test_status_and_flag_follow(clinician_a: User, patient_a: Patient) -> None:
    image = rows.send_image(clinician_a, patient_a)
    rows.run(image)
    assert Entry.objects.get().status == Status.RUNNING
    rows.finish(image, Label.COVID, carried=evidence_of(called=True))
    entry = Entry.objects.get()
    assert (entry.status, entry.flagged) == (Status.DONE, True)
    assert entry.flagged_at is not None


def test_an_answer_of_covid_below_the_operating_point_is_no_flag(
    clinician_a: User, patient_a: Patient
) -> None:
    image = rows.send_image(clinician_a, patient_a)
    rows.finish(image, Label.COVID, carried=evidence_of(called=False))
    assert not Entry.objects.get().flagged


def test_one_flagged_image_flags_the_study_and_the_newest_result_of_an_image_counts(
    clinician_a: User, patient_a: Patient
) -> None:
    first = rows.send_image(clinician_a, patient_a)
    second = rows.send_image(clinician_a, patient_a, study_id=first.study_id, seed=2)
    rows.finish(first, Label.NORMAL, carried=evidence_of(called=False))
    result = rows.finish(second, Label.COVID, carried=evidence_of(called=True))
    assert Entry.objects.get().flagged
    newer = ModelVersion.objects.create(
        name="phantom-net", version="2", weights_sha256="1" * 64, preprocessing_version="1",
        manifest={},
    )  # fmt: skip
    result.pk, result.model_version = None, newer
    result.evidence = evidence_of(called=False)
    result._state.adding = True
    result.save()
    set_image_status(second.pk, Status.DONE)
    entry = Entry.objects.get()
    assert not entry.flagged
    assert entry.flagged_at is None


def test_a_failed_change_of_a_study_leaves_its_entry(clinician_a: User, patient_a: Patient) -> None:
    image = rows.send_image(clinician_a, patient_a)

    class Undone(Exception):
        pass

    @transaction.atomic
    def change_and_fail() -> None:
        set_image_status(image.pk, Status.FAILED)
        assert Entry.objects.get().status == Status.FAILED
        raise Undone

    with pytest.raises(Undone):
        change_and_fail()
    assert Entry.objects.get().status == Status.QUEUED


def test_a_signed_reading_takes_it_off(clinician_a: User, new_study: NewStudy) -> None:
    study, other = new_study(), new_study(seed=2)
    claims.claim_study(actor=clinician_a, study_id=study.pk)
    sign(clinician_a, study)
    assert [entry.pk for entry in Entry.objects.unread()] == [other.pk]
    closed = Entry.objects.get(pk=study.pk)
    assert closed.claimed_by is None


def everything() -> list[tuple[object, ...]]:
    names = ("pk", "site", "patient", "status", "arrived_at", "flagged", "closed_at", "claimed_by")
    return sorted(Entry.objects.values_list(*names), key=str)


def test_a_rebuilt_list_is_the_list_that_was_kept(
    clinician_a: User, clinician_b: User, patient_b: Patient, new_study: NewStudy
) -> None:
    flagged = new_study(flagged=True)
    read = new_study(seed=2)
    new_study(seed=3, flagged=None)
    send_study(clinician_b, patient_b)
    claims.claim_study(actor=clinician_a, study_id=flagged.pk)
    sign(clinician_a, read)
    kept = everything()
    Entry.objects.filter(pk=read.pk).update(closed_at=None, status=Status.RUNNING)
    Entry.objects.filter(pk=flagged.pk).update(flagged=False)
    Entry.objects.exclude(pk__in=[read.pk, flagged.pk]).delete()
    assert everything() != kept
    said = StringIO()
    call_command("rebuild_worklist", stdout=said)
    assert everything() == kept
    assert said.getvalue().startswith("4 studies")


def test_studies_from_before_the_worklist_are_put_on_it(
    clinician_a: User, new_study: NewStudy
) -> None:
    new_study(flagged=True)
    read = new_study(seed=2)
    sign(clinician_a, read)
    kept = everything()
    Entry.objects.all().delete()
    migration = import_module("screening.worklist.migrations.0002_existing_studies")
    migration.add_existing(apps, None)
    assert everything() == kept
