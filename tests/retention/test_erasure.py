"""A patient who is erased is gone everywhere, and nobody else with them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import DatabaseError, connection, models, transaction

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.audit.services import record
from screening.audit.verification import run_check, start_check
from screening.core.errors import Conflict, Forbidden, InvalidInput
from screening.patients.holds import lift_hold, place_hold
from screening.patients.models import Erasure, ErasureCertificate, LegalHold, Patient
from screening.reading.models import Addendum, FirstImpression, Reading
from screening.report.models import Report
from screening.retention import services
from screening.retention.again import reapply_erasures
from screening.retention.plan import PLAN, count_rows, files_of
from screening.retention.selectors import certificate_of
from screening.sharing.models import Export, State
from screening.sharing.options import ExportOptions
from screening.sharing.services import build_export, request_export
from screening.studies import pixels
from screening.studies.models import Image
from tests.core.everything import make_everything
from tests.personas import ClientOf, make_patient, make_user
from tests.radiographs import stored_files

pytestmark = pytest.mark.django_db

SECRET = "Vandermolen"
# Ways to a patient that are no foreign key, and why nothing has to go there.
KEYS_ONLY = {
    "audit.Event": "events hold keys and no names; the chain must stay whole",
    "patients.Erasure": "says that the patient is gone",
}


def reason() -> str:
    return "Asked for by the person, GDPR article 17."


@pytest.fixture
def patient(north: Site, admin_a: User, clinician_a: User) -> Patient:
    """With a row in every table that may hold one."""
    patient = make_patient(north, mrn="MRN-918273645", family_name=SECRET, given_name="Ottoline")
    image = make_everything(clinician_a, patient, seed=4)
    default_storage.save(pixels.cached_name(image.pk), ContentFile(b"kept"))
    place_hold(actor=admin_a, patient=patient, reason=f"Case of {SECRET}")
    lift_hold(actor=admin_a, patient=patient, reason="Settled")
    return patient


@pytest.fixture
def other(south: Site, clinician_b: User) -> Patient:
    patient = make_patient(south, family_name="Stays")
    make_everything(clinician_b, patient, seed=5)
    return patient


def erase(actor: User, patient: Patient) -> Erasure:
    return services.erase_patient(actor=actor, patient=patient, mrn=patient.mrn, reason=reason())


def ways_to_a_patient() -> Iterator[tuple[str, str]]:
    """Every model from which foreign keys lead to a patient, and every bare key of one."""
    found: dict[str, str] = {}
    while True:
        before = len(found)
        for model in apps.get_models(include_auto_created=True):
            for field in model._meta.get_fields():
                to = getattr(field, "related_model", None)
                forward = isinstance(field, models.ForeignKey | models.ManyToManyField)
                if (
                    forward
                    and isinstance(to, type)
                    and (to is Patient or to._meta.label in found)
                    and model is not Patient
                ):
                    found.setdefault(model._meta.label, field.name)
        if len(found) == before:
            break
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if field.name in ("patient_id", "study_id", "image_id") and not field.is_relation:
                found.setdefault(model._meta.label, field.name)
    yield from found.items()


def test_every_table_with_a_way_to_a_patient_is_in_the_plan() -> None:
    """Red? Add the new table to screening/retention/plan.py, and its files if it has any."""
    planned = {part.label for part in PLAN} | set(KEYS_ONLY)
    forgotten = {label: field for label, field in ways_to_a_patient() if label not in planned}
    assert forgotten == {}


def test_the_walk_sees_what_it_should() -> None:
    found = {label for label, _ in ways_to_a_patient()}
    assert {part.label for part in PLAN} - found == {"patients.Patient"}
    assert {"reading.Addendum", "audit.Event"} <= found


def test_every_field_that_names_a_stored_file_is_in_the_plan(patient: Patient) -> None:
    """A model of the plan that grows another file would leave it behind."""
    named = {
        f"{part.label}.{field.name}"
        for part in PLAN
        for field in apps.get_model(part.label)._meta.concrete_fields
        if isinstance(field, models.CharField) and field.max_length == 200
    }
    assert named == {
        "studies.Image.original",
        "studies.Image.display",
        "studies.Image.thumbnail",
        "inference.Result.heatmap",
        "report.Report.file",
    }


def test_everything_goes_and_nobody_elses(
    admin_a: User, patient: Patient, other: Patient, media_root: Path
) -> None:
    full = count_rows(patient.pk)
    assert set(full) | {"worklist.Entry"} == {part.label for part in PLAN}
    files = [name for name in files_of(patient.pk) if default_storage.exists(name)]
    assert len(files) == 5
    stays = count_rows(other.pk)
    erasure = erase(admin_a, patient)
    assert count_rows(patient.pk) == {}
    assert count_rows(other.pk) == stays
    assert set(stored_files(media_root)).isdisjoint(files)
    assert all(map(default_storage.exists, Image.objects.values_list("original", flat=True)))
    told = certificate_of(Erasure.objects.get(pk=erasure.pk))
    assert (told["complete"], told["files"], told["rows"]) == (True, 5, full)
    assert SECRET not in json.dumps(told)


def test_no_text_of_the_patient_is_left_in_any_table(
    admin_a: User, patient: Patient, other: Patient
) -> None:
    erase(admin_a, patient)
    for model in apps.get_models():
        for row in model._default_manager.values():
            for value in row.values():
                assert SECRET not in str(value), model._meta.label
                assert "MRN-918273645" not in str(value), model._meta.label


def test_exports_that_hold_the_patient_go_and_figures_stay(
    admin_a: User, patient: Patient, media_root: Path
) -> None:
    image = Image.objects.get(study__patient=patient)
    export = request_export(
        actor=admin_a, keys=[image.study_id], options=ExportOptions(keep_list=True)
    )
    build_export(export.pk)
    export.refresh_from_db()
    assert export.state == State.DONE
    figures = apps.get_model("insight.DailyFigures")
    before = list(figures.objects.values())
    erase(admin_a, patient)
    after = Export.objects.get(pk=export.pk)
    assert (after.state, after.code, after.file) == (State.EXPIRED, "erased", "")
    assert export.file not in stored_files(media_root)
    assert list(figures.objects.values()) == before


def test_the_audit_stays_whole_and_tells_of_it(admin_a: User, patient: Patient) -> None:
    before = Event.objects.count()
    erasure = erase(admin_a, patient)
    events = list(Event.objects.order_by("id"))[before:]
    assert [event.action for event in events] == ["patient.erase", "patient.erased"]
    assert {event.object_id for event in events} == {str(erasure.pk)}
    assert events[0].patient_id == patient.pk
    assert SECRET not in json.dumps([event.detail for event in events])


@pytest.mark.django_db(transaction=True)
def test_the_chain_verifies_afterwards(admin_a: User, patient: Patient) -> None:
    erase(admin_a, patient)
    assert not connection.in_atomic_block
    check = start_check(full=True)
    assert run_check(check)
    check.refresh_from_db()
    assert check.events == Event.objects.count() > 5
    assert check.findings == []
    assert ErasureCertificate.objects.count() == 1


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_no_byte_of_the_patient_is_left_in_sqlites_files(admin_a: User, patient: Patient) -> None:
    database = Path(str(connection.settings_dict["NAME"]))

    def bytes_of_all() -> bytes:
        files = [database, *database.parent.glob(f"{database.name}-*")]
        return b"".join(path.read_bytes() for path in files if path.exists())

    assert SECRET.encode() in bytes_of_all()
    erase(admin_a, patient)
    assert SECRET.encode() not in bytes_of_all()
    assert SECRET.lower().encode() not in bytes_of_all()


def test_who_may_and_what_has_to_be_typed(
    admin_a: User, clinician_a: User, admin_b: User, patient: Patient
) -> None:
    for actor in (clinician_a, admin_b):
        with pytest.raises(Forbidden):
            erase(actor, patient)
    with pytest.raises(InvalidInput) as refused:
        services.erase_patient(actor=admin_a, patient=patient, mrn="MRN-1", reason=reason())
    assert refused.value.field == "mrn"
    for said in ("", "  ", "x" * 1001, f"Mrs {SECRET.upper()} asked", "case mrn-918273645"):
        with pytest.raises(InvalidInput) as refused:
            services.erase_patient(actor=admin_a, patient=patient, mrn=patient.mrn, reason=said)
        assert refused.value.field == "reason"
    assert Patient.objects.filter(pk=patient.pk).exists()


def test_a_hold_blocks_it_in_the_service_and_in_the_database(
    admin_a: User, patient: Patient
) -> None:
    place_hold(actor=admin_a, patient=patient, reason="Court")
    with pytest.raises(Conflict) as refused:
        erase(admin_a, patient)
    assert refused.value.code == "on_hold"
    with pytest.raises(DatabaseError, match="legal hold"), transaction.atomic():
        open_the_way(patient)


# --- The way through the closed rows -----------------------------------------------------------


def open_the_way(patient: Patient, *, audited: bool = True) -> Erasure:
    erasure = Erasure(site_id=patient.site_id, patient_id=patient.pk, kind="asked")
    if audited:
        record("patient.erase", erasure)
    erasure.save(force_insert=True)
    return erasure


CLOSED = (
    ("reading.Reading", "study__patient"),
    ("reading.FirstImpression", "reading__study__patient"),
    ("reading.Addendum", "reading__study__patient"),
    ("report.Report", "study__patient"),
    ("report.Withdrawal", "report__study__patient"),
    ("patients.LegalHold", "patient"),
)


def remove(label: str, lookup: str, patient: Patient) -> None:
    rows = apps.get_model(label)._default_manager.filter(**{lookup: patient.pk})
    assert rows.exists()
    with transaction.atomic():
        rows._raw_delete(rows.db)


@pytest.mark.parametrize(("label", "lookup"), CLOSED)
def test_closed_rows_stay_closed_for_everybody_else(
    label: str, lookup: str, admin_b: User, patient: Patient, other: Patient
) -> None:
    place_hold(actor=admin_b, patient=other, reason="x")
    lift_hold(actor=admin_b, patient=other, reason="x")
    for whose in (patient, other):
        with pytest.raises(DatabaseError, match="never changed"):
            remove(label, lookup, whose)
    open_the_way(patient)
    with pytest.raises(DatabaseError, match="never changed"):
        remove(label, lookup, other)
    rows = apps.get_model(label)._default_manager.filter(**{lookup: patient.pk})
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        rows.update(created_at="2020-01-01T00:00Z")


def test_the_way_is_shut_once_the_certificate_is_written(patient: Patient) -> None:
    erasure = open_the_way(patient)
    ErasureCertificate.objects.create(erasure=erasure, files=0)
    with pytest.raises(DatabaseError, match="never changed"):
        remove("reading.Addendum", "reading__study__patient", patient)


def test_the_way_cannot_be_opened_without_an_event_nor_be_covered_up(patient: Patient) -> None:
    with pytest.raises(DatabaseError, match="audit"), transaction.atomic():
        open_the_way(patient, audited=False)
    erasure = open_the_way(patient)
    for change in (
        lambda: Erasure.objects.filter(pk=erasure.pk).update(patient_id=uuid4()),
        lambda: Erasure.objects.filter(pk=erasure.pk)._raw_delete("default"),
    ):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
            change()
    certificate = ErasureCertificate.objects.create(erasure=erasure, files=0)
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        ErasureCertificate.objects.filter(pk=certificate.pk)._raw_delete("default")


def test_signed_words_are_still_closed_without_any_erasure(patient: Patient) -> None:
    for model in (Reading, FirstImpression, Addendum, Report):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
            model.objects.all()._raw_delete("default")  # type: ignore[attr-defined]


# --- Crashes and backups -----------------------------------------------------------------------


def test_a_crash_between_rows_and_files_is_made_good(
    admin_a: User, patient: Patient, media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "full")

    with monkeypatch.context() as broken:
        broken.setattr(default_storage, "delete", full)
        erasure = erase(admin_a, patient)
    assert not ErasureCertificate.objects.exists()
    assert certificate_of(erasure)["complete"] is False
    assert services.complete_open() == 1
    assert services.complete_open() == 0
    assert certificate_of(Erasure.objects.get())["files"] == 5


def test_what_a_backup_brings_back_goes_again(
    admin_a: User, patient: Patient, erasure_list: Path, north: Site
) -> None:
    key = patient.pk
    erase(admin_a, patient)
    lines = [json.loads(line) for line in erasure_list.read_text().splitlines()]
    assert [line["patient"] for line in lines] == [str(key)]
    assert SECRET not in erasure_list.read_text()
    back = make_patient(north, mrn="MRN-918273645", family_name=SECRET)
    Patient.objects.filter(pk=back.pk).delete()
    back.pk = key
    back.save(force_insert=True)
    LegalHold.objects.create(patient=back, reason="old", placed_by=admin_a)
    erasure_list.write_text(erasure_list.read_text() + '{"patient": "cut sho')
    output = io.StringIO()
    call_command("reapply_erasures", stdout=output)
    assert "Erased again: 1." in output.getvalue()
    assert not Patient.objects.filter(pk=key).exists()
    assert reapply_erasures() == 0


def test_a_list_of_the_lost_machine_counts_too(patient: Patient, tmp_path: Path) -> None:
    elsewhere = tmp_path / "saved.jsonl"
    elsewhere.write_text(json.dumps({"patient": str(patient.pk)}) + "\n")
    assert reapply_erasures() == 0
    assert reapply_erasures(lists=[elsewhere]) == 1


# --- Pages -------------------------------------------------------------------------------------


def test_an_administrator_places_a_hold_and_erases(
    admin_a: User, patient: Patient, client_of: ClientOf
) -> None:
    client = client_of(admin_a)
    client.post(f"/patients/{patient.pk}/hold/", {"act": "place", "reason": "Court"})
    page = client.get(f"/patients/{patient.pk}/").content.decode()
    assert "Legal hold." in page
    sent = {"mrn": patient.mrn, "reason": reason()}
    page = client.post(f"/patients/{patient.pk}/erase/", sent).content.decode()
    assert "under legal hold" in page
    client.post(f"/patients/{patient.pk}/hold/", {"act": "lift", "reason": "Over"})
    page = client.get(f"/patients/{patient.pk}/erase/").content.decode()
    assert "Studies: 1, pictures: 1, readings: 1, reports: 1." in page
    response = client.post(f"/patients/{patient.pk}/erase/", sent)
    assert (response.status_code, response["Location"]) == (302, "/site/retention/")
    page = client.get("/site/retention/").content.decode()
    erasure = Erasure.objects.get()
    assert str(erasure.pk) in page
    told = client.get(f"/site/retention/erasures/{erasure.pk}.json").json()
    assert told["asked_by"] == "adam"
    assert client.get(f"/patients/{patient.pk}/").status_code == 404


def test_an_old_sign_in_is_not_enough(admin_a: User, patient: Patient, client_of: ClientOf) -> None:
    client = client_of(admin_a)
    session = client.session
    session["identity_proved_at"] = 0
    session.save()
    response = client.post(
        f"/patients/{patient.pk}/erase/", {"mrn": patient.mrn, "reason": reason()}
    )
    assert response.status_code == 302
    assert "confirm" in response["Location"]
    response = client.post("/site/retention/", {"act": "set", "years": "10"})
    assert "confirm" in response["Location"]
    assert Patient.objects.filter(pk=patient.pk).exists()


def test_certificates_are_the_own_sites(
    admin_a: User, admin_b: User, clinician_a: User, patient: Patient, client_of: ClientOf
) -> None:
    erasure = erase(admin_a, patient)
    address = f"/site/retention/erasures/{erasure.pk}.json"
    assert client_of(admin_b).get(address).status_code == 404
    assert client_of(clinician_a).get(address).status_code == 404
    assert client_of(make_user(admin_a.memberships.get().site, "admin")).get(address).json()
