"""Exports: what is in them, who may have them, and when they go."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pydicom
import pytest
from django.core.files.storage import default_storage
from django.http import Http404
from django.utils import timezone
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from screening.accounts.models import Membership, Site, User
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden, InvalidInput
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading.blind_first import set_blind_first
from screening.reading.services import Draft, record_first_impression, sign_reading
from screening.sharing import selectors, services
from screening.sharing.models import Export, State
from screening.sharing.options import ExportOptions
from screening.studies.diagnoses import record_diagnosis
from screening.studies.models import Image, Study
from screening.studies.services import receive_image
from screening.studies.storage import remove_orphans
from tests.permissions.test_blind_first import CANARIES as SHARES_AS_TEXT
from tests.permissions.test_blind_first import SHARES
from tests.personas import ClientOf, make_patient, make_user
from tests.radiographs import dicom, png, stored_files
from tests.record import rows
from tests.sharing import canaries

pytestmark = pytest.mark.django_db

SECRET = "Vandermolen"


@pytest.fixture
def patient(north: Site) -> Patient:
    return make_patient(north, mrn="MRN-918273645", family_name=SECRET, given_name="Ottoline")


@pytest.fixture
def study(clinician_a: User, patient: Patient) -> Study:
    """Answered, read and confirmed."""
    image = rows.send_image(clinician_a, patient, name=f"{SECRET}.png")
    rows.finish(image, Label.COVID, SHARES[Label.COVID], rows.evidence(possible=("covid",)))
    study = Study.objects.get(pk=image.study_id)
    text = f"Mrs {SECRET} of 12.03.1961, MRN-918273645: clear."
    sign_reading(actor=clinician_a, study=study, draft=Draft("covid", text, "agrees"), version=0)
    record_diagnosis(
        actor=clinician_a,
        study=study,
        label="covid",
        basis="rt_pcr",
        date=timezone.localdate(),
        note=f"called {SECRET}",
    )
    return study


def make(actor: User, *studies: Study, **options: Any) -> Export:
    export = services.request_export(
        actor=actor, keys=[study.pk for study in studies], options=ExportOptions(**options)
    )
    services.build_export(export.pk)
    export.refresh_from_db()
    return export


def opened(export: Export) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(_stored(export.file)))


def _stored(name: str) -> bytes:
    with default_storage.open(name, "rb") as handle:
        data: bytes = handle.read()
    return data


def everything(export: Export) -> bytes:
    """All bytes of the archive, unpacked, with the names of its files."""
    with opened(export) as archive:
        names = archive.namelist()
        return "\n".join(names).encode() + b"".join(archive.read(name) for name in names)


def lines(export: Export) -> list[dict[str, str]]:
    with opened(export) as archive:
        text = archive.read("studies.csv").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_nothing_of_the_patient_is_in_any_byte(
    clinician_a: User, patient: Patient, study: Study
) -> None:
    """A DICOM full of canaries, a PNG and a JPEG with words beside their pixels."""
    key = uuid4()
    note = PngInfo()
    note.add_text("Patient", canaries.WORD)
    note.add_itxt("Name", canaries.WORD)
    plain = Picture.open(io.BytesIO(png(7)))
    as_png, as_jpeg = io.BytesIO(), io.BytesIO()
    plain.save(as_png, "PNG", pnginfo=note)
    exif = Picture.Exif()
    exif[0x010E] = canaries.WORD
    plain.convert("L").save(as_jpeg, "JPEG", exif=exif, comment=canaries.WORD.encode())
    contents = (
        canaries.everywhere(),
        canaries.everywhere(compressed=True),
        as_png.getvalue() + canaries.WORD.encode(),
        as_jpeg.getvalue() + canaries.WORD.encode(),
    )
    for content in contents:
        receive_image(
            actor=clinician_a,
            patient=patient,
            study_id=key,
            content=content,
            original_name=f"{canaries.WORD}.dcm",
            confirm_patient=True,
        )
    for as_dicom in (False, True):
        export = make(
            clinician_a, study, Study.objects.get(pk=key), as_dicom=as_dicom, dates="shift"
        )
        assert (export.state, export.images) == (State.DONE, 5)
        found = everything(export)
        assert canaries.found_in(found) == []
        for word in (SECRET, "Ottoline", "MRN-", "1962", "alice", "Archer", "North Hospital"):
            assert word.encode() not in found, word
        for one in (study.pk, patient.pk, key):
            assert str(one).encode() not in found


def test_pictures_answers_and_manifest(clinician_a: User, study: Study) -> None:
    export = make(clinician_a, study)
    (line,) = lines(export)
    assert (line["ai class"], line["p covid"], line["impression"]) == ("covid", "0.8731", "covid")
    assert (line["confirmed diagnosis"], line["text"], line["taken"]) == ("covid", "", "")
    with opened(export) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        told = {one["name"]: one["sha256"] for one in manifest["files"]}
        assert set(told) | {"manifest.json"} == set(archive.namelist())
        for name, digest in told.items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest
        picture = Picture.open(io.BytesIO(archive.read(line["file"])))
        original = Picture.open(io.BytesIO(rows.phantom()))
        assert picture.info == {}
        assert picture.convert("L").tobytes() == original.convert("L").tobytes()
    assert manifest["codes"] == {"113100": "Basic Application Confidentiality Profile"}
    assert hashlib.sha256(_stored(export.file)).hexdigest() == export.sha256


def test_free_text_goes_along_only_when_asked_for_and_without_the_known_words(
    clinician_a: User, study: Study
) -> None:
    export = make(clinician_a, study, with_text=True)
    (line,) = lines(export)
    assert line["text"] == "Mrs [removed] of [removed], [removed]: clear."
    assert SECRET.encode() not in everything(export)


def test_pseudonyms_within_and_across_exports(clinician_a: User, patient: Patient) -> None:
    studies = [rows.study_of(rows.send_image(clinician_a, patient, seed=seed)) for seed in (1, 2)]

    def names(**options: Any) -> set[str]:
        return {line["patient"] for line in lines(make(clinician_a, *studies, **options))}

    fresh, again = names(), names()
    assert len(fresh) == len(again) == 1
    assert fresh != again
    assert names(names="site") == names(names="site")


def test_dates_move_together_and_by_an_amount_nobody_is_told(
    clinician_a: User, patient: Patient
) -> None:
    image = rows.send_image(clinician_a, patient)
    Study.objects.filter(pk=image.study_id).update(taken_on="2024-03-01")
    export = make(clinician_a, rows.study_of(image), dates="shift", keep_sex_and_age=True)
    (line,) = lines(export)
    assert line["taken"] < "2024-02-01"
    assert (line["sex"], line["age"]) == ("F", "61")
    assert b"shift_days" not in everything(export)
    assert not export.studies.exclude(shift_days=None).exists()


def test_what_is_hidden_from_whoever_asks_stays_hidden(
    clinician_a: User, admin_a: User, north: Site, patient: Patient
) -> None:
    set_blind_first(actor=admin_a, site=north, is_on=True)
    image = rows.send_image(clinician_a, patient)
    rows.finish(image, Label.COVID, SHARES[Label.COVID])
    study = rows.study_of(image)
    export = make(clinician_a, study)
    (line,) = lines(export)
    assert line["ai class"] == line["confirmed diagnosis"] == "hidden until read"
    assert not any(one.encode() in everything(export) for one in SHARES_AS_TEXT)
    record_first_impression(actor=clinician_a, study=study, draft=Draft("covid"), version=0)
    export = make(clinician_a, study)
    assert lines(export)[0]["ai class"] == "covid"
    # The administrator, who has not read it, may know of the file and not have it.
    assert selectors.get_export(admin_a, export.pk) == export
    with pytest.raises(Forbidden) as refused:
        services.open_download(actor=admin_a, export=export)
    assert refused.value.code == "answer_hidden"
    services.open_download(actor=clinician_a, export=export)


def test_borders_of_sites_and_of_people(
    clinician_a: User, clinician_b: User, admin_a: User, north: Site, study: Study
) -> None:
    with pytest.raises(Http404):
        make(clinician_b, study)
    export = make(clinician_a, study)
    for stranger in (clinician_b, make_user(north)):
        with pytest.raises(Http404):
            selectors.get_export(stranger, export.pk)
    with pytest.raises(Forbidden):
        make(clinician_a, study, keep_list=True)
    south = rows.study_of(
        rows.send_image(clinician_b, make_patient(clinician_b.memberships.get().site))
    )
    Membership.objects.create(user=clinician_a, site=south.site, role="clinician")
    with pytest.raises(InvalidInput) as refused:
        make(clinician_a, study, south)
    assert refused.value.code == "many_sites"


def test_somebody_who_lost_the_right_meanwhile_gets_nothing(
    clinician_a: User, study: Study
) -> None:
    export = services.request_export(actor=clinician_a, keys=[study.pk], options=ExportOptions())
    Membership.objects.filter(user=clinician_a).update(is_active=False)
    services.build_export(export.pk)
    export.refresh_from_db()
    assert (export.state, export.code, export.file) == (State.FAILED, "forbidden", "")


def test_the_list_of_who_is_who_exists_only_where_it_was_wanted(
    admin_a: User, clinician_a: User, patient: Patient, study: Study
) -> None:
    without = make(admin_a, study)
    with pytest.raises(Conflict):
        services.open_list(actor=admin_a, export=without)
    export = make(admin_a, study, keep_list=True, dates="shift")
    ((pseudonym, mrn, key, uid, days),) = services.open_list(actor=admin_a, export=export)
    assert (mrn, key) == (patient.mrn, str(study.pk))
    assert (pseudonym, uid) == (lines(export)[0]["patient"], lines(export)[0]["study"])
    assert -3650 <= int(days) <= -30
    with pytest.raises(Forbidden):
        services.open_list(actor=clinician_a, export=export)
    assert pseudonym.encode() not in everything(without)


def test_one_event_for_the_export_and_one_for_each_download(
    clinician_a: User, study: Study, client_of: ClientOf
) -> None:
    before = Event.objects.count()
    export = make(clinician_a, study)
    assert list(Event.objects.order_by("id").values_list("action", flat=True)[before:]) == [
        "export.deidentified"
    ]
    response = client_of(clinician_a).get(f"/exports/{export.pk}/file/")
    body = b"".join(response.streaming_content)  # type: ignore[attr-defined]
    assert hashlib.sha256(body).hexdigest() == export.sha256
    assert response["Cache-Control"] == "no-store, private"
    event = Event.objects.latest("id")
    assert (event.action, event.object_id) == ("export.download", str(export.pk))
    told = json.dumps(list(Event.objects.values_list("detail", flat=True)))
    assert SECRET not in told
    assert "MRN-" not in told


def lettered(text: str) -> bytes:
    picture = Picture.open(io.BytesIO(png(9, 800))).convert("L")
    ImageDraw.Draw(picture).text((20, 15), text, fill=255, font=ImageFont.load_default(28))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def test_words_in_a_picture_are_warned_of_and_can_be_blackened(
    clinician_a: User, patient: Patient, client_of: ClientOf
) -> None:
    received = receive_image(
        actor=clinician_a,
        patient=patient,
        study_id=uuid4(),
        content=lettered("MUSTER, ANNA 12.03.1961"),
    )
    study = rows.study_of(received.image)
    export = make(clinician_a, study)
    (finding,) = export.findings
    assert min(box[0] for box in finding["boxes"]) < 5
    assert max(box[2] for box in finding["boxes"]) > 35
    assert all(box[1] < 5 and box[3] < 12 for box in finding["boxes"])
    with pytest.raises(Conflict) as refused:
        services.open_download(actor=clinician_a, export=export)
    assert refused.value.code == "not_looked_over"
    page = client_of(clinician_a).get(f"/exports/{export.pk}/").content.decode()
    assert "1 picture may carry words" in page
    client_of(clinician_a).post(f"/exports/{export.pk}/looked/")
    export.refresh_from_db()
    services.open_download(actor=clinician_a, export=export)
    for options in ({"border": 12.0}, {"boxes": {str(received.image.pk): [[0, 0, 70, 10]]}}):
        clean = make(clinician_a, study, **options)
        assert clean.findings == []
        with opened(clean) as archive:
            picture = Picture.open(io.BytesIO(archive.read(lines(clean)[0]["file"])))
        assert max(picture.crop((0, 0, 560, 80)).tobytes()) == 0
        assert max(picture.crop((100, 200, 700, 700)).tobytes()) > 0


def test_a_file_that_says_so_itself_is_warned_of(clinician_a: User, patient: Patient) -> None:
    content = _with_burned_in(dicom())
    image = receive_image(
        actor=clinician_a, patient=patient, study_id=uuid4(), content=content
    ).image
    (finding,) = make(clinician_a, rows.study_of(image)).findings
    assert (finding["stated"], finding["boxes"]) == ("YES", [])


def _with_burned_in(data: bytes) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.BurnedInAnnotation = "YES"
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def test_a_box_of_another_study_or_of_nonsense_is_refused(
    clinician_a: User, study: Study, client_of: ClientOf
) -> None:
    image = Image.objects.get(study=study)
    for boxes in (
        {str(uuid4()): [[0, 0, 5, 5]]},
        {str(image.pk): [[5, 0, 5, 5]]},
        {str(image.pk): [[0, 0, 5, float("nan")]]},
    ):
        with pytest.raises(InvalidInput):
            make(clinician_a, study, boxes=boxes)
    sent = {"study": [str(study.pk)], "dates": "remove", "names": "fresh"}
    client = client_of(clinician_a)
    response = client.post("/exports/new/", {**sent, f"box-{image.pk}": "1 2 x"})
    assert "A box is four numbers" in response.content.decode()
    for odd in ("nan nan nan nan", "1 2 3", "5 5 1 1", "0 0 101 5"):
        assert client.get(f"/exports/preview/{image.pk}/", {"box": odd}).status_code == 422
    for wide in ("nan", "inf", "x", "-3"):
        assert client.get(f"/exports/preview/{image.pk}/", {"border": wide}).status_code == 200
    assert client.post("/exports/new/", {"study": "no-key"}).status_code == 404


def test_too_many_are_refused(
    clinician_a: User, study: Study, monkeypatch: pytest.MonkeyPatch, client_of: ClientOf
) -> None:
    monkeypatch.setattr(selectors, "MOST_STUDIES", 0)
    response = client_of(clinician_a).get("/exports/new/", headers={"Accept": "application/json"})
    assert (response.status_code, response.json()["code"]) == (422, "too_many_studies")


def test_the_lists_choose(clinician_a: User, study: Study, client_of: ClientOf) -> None:
    other = rows.study_of(rows.send_image(clinician_a, study.patient, seed=2))
    client = client_of(clinician_a)
    page = client.get("/exports/new/", {"label": "covid"}).content.decode()
    assert str(study.pk) in page
    assert str(other.pk) not in page
    page = client.get("/exports/new/", {"from": "worklist"}).content.decode()
    assert str(other.pk) in page
    assert str(study.pk) not in page


def test_a_worker_that_died_is_noticed_and_a_message_twice_does_nothing(
    clinician_a: User, study: Study
) -> None:
    export = services.request_export(actor=clinician_a, keys=[study.pk], options=ExportOptions())
    for attempt in (1, 2):
        assert services._claim(export.pk) is not None
        assert services._claim(export.pk) is None, attempt
        Export.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        services.sweep_exports()
    export.refresh_from_db()
    assert (export.state, export.code) == (State.FAILED, "worker_lost")
    services.build_export(export.pk)
    export.refresh_from_db()
    assert export.state == State.FAILED


def test_a_file_goes_when_its_time_is_over(
    clinician_a: User, study: Study, media_root: Any
) -> None:
    export = make(clinician_a, study)
    name = export.file
    assert name in stored_files(media_root)
    remove_orphans()
    Export.objects.update(expires_at=timezone.now())
    services.sweep_exports()
    export.refresh_from_db()
    assert (export.state, export.file) == (State.EXPIRED, "")
    assert name not in stored_files(media_root)
    with pytest.raises(Conflict):
        services.open_download(actor=clinician_a, export=export)
    assert Event.objects.latest("id").action == "export.expire"
    services.sweep_exports()
    assert Event.objects.filter(action="export.expire").count() == 1


def test_a_lost_file_fails_the_export_with_a_code(
    clinician_a: User, study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    default_storage.delete(Image.objects.get(study=study).original)
    export = make(clinician_a, study)
    assert (export.state, export.code) == (State.FAILED, "original_lost")
    assert UUID(str(export.pk))
    assert SECRET not in caplog.text
