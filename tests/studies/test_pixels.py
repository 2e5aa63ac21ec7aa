"""The values that the viewer's endpoint sends, and who gets them."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from django.core.files.storage import default_storage
from django.utils import timezone
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from ml.phantom import phantom_dicom, phantom_jpeg, phantom_png
from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.patients.models import Patient
from screening.studies import pixels, services, storage
from screening.studies.models import Image
from tests.personas import ClientOf, make_patient
from tests.radiographs import receive, stored_files

pytestmark = pytest.mark.django_db
SIZE = (210, 260)


def body_of(response: Any) -> bytes:
    content: bytes = b"".join(response) if response.streaming else response.content
    return content


def unpacked(body: bytes) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    """Read the stream as the script does."""
    assert body[:8] == b"THORAPIX"
    length = int.from_bytes(body[8:12], "little")
    assert (12 + length) % 16 == 0
    about = json.loads(body[12 : 12 + length])
    values = np.frombuffer(body[12 + length :], dtype=np.dtype(about["type"]).newbyteorder("<"))
    return about, values.reshape(about["rows"], about["columns"])


def fetched(
    client_of: ClientOf, who: User, image: Image
) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    response = client_of(who).get(f"/images/{image.pk}/pixels/")
    assert response.status_code == 200
    return unpacked(body_of(response))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("bits", "signed", "rescale", "window", "syntax"),
    [
        (8, False, None, (120, 100), "explicit"),
        (12, False, None, None, "implicit"),
        (12, True, (1, -1024), (-1000, 900), "rle"),
        (12, False, (0.25, 3.5), (500, 300), "deflated"),
        (16, False, (2, -1000), (60000, 20000), "explicit"),
        (16, True, None, (0, 30000), "jpeg2000"),
        (16, False, None, (30000, 20000), "big_endian"),
    ],
)
def test_a_dicom_file_arrives_as_pydicom_reads_it(
    photometric: Any,
    bits: int,
    signed: bool,
    rescale: Any,
    window: Any,
    syntax: Any,
    client_of: ClientOf,
    clinician_a: User,
    north: Site,
) -> None:
    data = phantom_dicom(
        4,
        size=SIZE,
        photometric=photometric,
        bits=bits,
        signed=signed,
        rescale=rescale,
        window=window,
        syntax=syntax,
    )
    # The person whom the drawn file names.
    patient = make_patient(
        north,
        mrn="PHANTOM-0004",
        family_name="Phantom",
        given_name="Number 4",
        birth_date=dt.date(1970, 1, 1),
        sex="O",
    )
    image = receive(clinician_a, patient, data, name="chest.dcm")
    about, values = fetched(client_of, clinician_a, image)
    dataset = pydicom.dcmread(io.BytesIO(data))
    expected = apply_modality_lut(dataset.pixel_array, dataset)
    np.testing.assert_array_equal(values, expected)
    assert about["inverted"] is (photometric == "MONOCHROME1")
    assert about["bits_stored"] == bits
    assert (about["slope"], about["intercept"]) == (rescale or (1, 0))
    assert (about["minimum"], about["maximum"]) == (expected.min(), expected.max())
    assert about["signed"] is (values.dtype.kind != "u")
    assert about["windows_from_file"] is (window is not None)
    if window is not None:
        assert about["windows"] == [{"centre": window[0], "width": window[1]}]
        low, high = about["windows"][0]["centre"] - 0.5, about["windows"][0]["width"] - 1
        drawn = np.clip((values.astype(np.float64) - low) / high + 0.5, 0, 1)
        by_pydicom = apply_voi_lut(expected, dataset).astype(np.float64)
        by_pydicom = (by_pydicom - by_pydicom.min()) / np.ptp(by_pydicom)
        np.testing.assert_allclose((drawn - drawn.min()) / np.ptp(drawn), by_pydicom, atol=1e-9)
    side = round(430 / values.shape[0], 4)
    assert about["spacing"] == {"row_mm": side, "column_mm": side, "kind": "detector"}
    image.refresh_from_db()
    assert image.pixel_spacing_kind == "detector"


def test_other_pictures_arrive_with_their_bits(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    from PIL import Image as Picture

    for data, kind in (
        (phantom_png(2, size=SIZE), "uint8"),
        (phantom_png(2, size=SIZE, bits=16), "uint16"),
        (phantom_jpeg(2, size=SIZE), "uint8"),
    ):
        image = receive(clinician_a, patient_a, data)
        about, values = fetched(client_of, clinician_a, image)
        assert about["type"] == kind
        assert about["spacing"] == {"row_mm": None, "column_mm": None, "kind": ""}
        np.testing.assert_array_equal(values, np.asarray(Picture.open(io.BytesIO(data))))


def test_a_browser_gets_the_stream_packed_and_may_not_keep_it(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    image = receive(clinician_a, patient_a)
    plain = client_of(clinician_a).get(f"/images/{image.pk}/pixels/")
    packed = client_of(clinician_a).get(
        f"/images/{image.pk}/pixels/", headers={"accept-encoding": "gzip, br"}
    )
    assert packed["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain
    assert gzip.decompress(body_of(packed)) == body_of(plain)
    assert packed["Cache-Control"] == "no-store, private"
    assert packed["Content-Type"] == "application/vnd.thorascreen.pixels"


def test_each_look_is_one_line_in_the_audit(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    image = receive(clinician_a, patient_a)
    fetched(client_of, clinician_a, image)
    event = Event.objects.get(action="image.view")
    assert event.object_id == str(image.pk)
    assert event.actor_id == clinician_a.pk
    assert event.detail == {"rendition": "pixels"}


def test_costly_work_is_kept_and_swept_after_a_day(
    client_of: ClientOf,
    clinician_a: User,
    patient_a: Patient,
    media_root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = receive(clinician_a, patient_a)
    before = stored_files(media_root)
    first = fetched(client_of, clinician_a, image)
    assert stored_files(media_root) == before, "cheap work is not kept"
    monkeypatch.setattr(pixels, "KEEP_ABOVE_S", -1.0)
    fetched(client_of, clinician_a, image)
    (kept,) = set(stored_files(media_root)) - set(before)
    assert kept.startswith("pixels/")
    monkeypatch.setattr(storage, "read", lambda name: pytest.fail("decoded again"))
    for encoding in ("gzip", ""):
        answer = client_of(clinician_a).get(
            f"/images/{image.pk}/pixels/", headers={"accept-encoding": encoding}
        )
        body = body_of(answer)
        about, values = unpacked(gzip.decompress(body) if encoding else body)
        assert about == first[0]
        np.testing.assert_array_equal(values, first[1])
    services.remove_orphans()
    assert kept in stored_files(media_root)
    old = (timezone.now() - dt.timedelta(days=2)).timestamp()
    os.utime(default_storage.path(kept), (old, old))
    services.remove_orphans()
    assert stored_files(media_root) == before


def test_an_original_that_is_gone_or_damaged_is_said_to_be(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    image = receive(clinician_a, patient_a)
    path = Path(default_storage.path(image.original))
    path.write_bytes(path.read_bytes()[:2000])
    response = client_of(clinician_a).get(f"/images/{image.pk}/pixels/")
    assert response.status_code == 409
    assert b"8-bit picture is shown instead" in body_of(response)
    path.unlink()
    assert client_of(clinician_a).get(f"/images/{image.pk}/pixels/").status_code == 404


def test_the_other_site_gets_nothing(
    client_of: ClientOf, clinician_a: User, clinician_b: User, patient_a: Patient
) -> None:
    image = receive(clinician_a, patient_a)
    assert client_of(clinician_b).get(f"/images/{image.pk}/pixels/").status_code == 404
