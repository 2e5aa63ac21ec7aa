"""The PDF, opened as anybody's PDF reader does."""

from __future__ import annotations

import io
import time
from uuid import uuid4

import numpy as np
import pypdfium2
import pytest
from django.utils import timezone
from PIL import Image as Picture
from pypdf import PdfReader

from screening.accounts.models import Site, User
from screening.inference.models import Label, Result
from screening.patients.models import Patient
from screening.reading.blind_first import set_blind_first
from screening.reading.measurements import save_measurements
from screening.reading.models import Reading
from screening.reading.services import add_addendum
from screening.report.content import MOST_PICTURED, Issue, gather, receipt_hash, signed_words
from screening.report.document import draw_report
from screening.report.services import print_preliminary
from screening.studies import storage
from screening.studies.diagnoses import record_diagnosis
from screening.studies.models import Study
from screening.studies.services import receive_image
from tests.record import rows
from tests.report.conftest import RECEIPT, address, sign

pytestmark = pytest.mark.django_db

CODE = "7k3m" * 7
WHEN = timezone.datetime(2026, 11, 21, 9, 30, tzinfo=timezone.get_default_timezone())


def issued(user: User, study: Study) -> bytes:
    issue = Issue(3, CODE, address(CODE), WHEN, "Alice Archer")
    content = gather(
        actor=user, study=study, signed=signed_words(user, study), at=WHEN, issue=issue
    )
    return draw_report(content)[0]


def text_of(data: bytes) -> str:
    """All words of all pages, in one line."""
    pages = PdfReader(io.BytesIO(data), strict=True).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def drawn(data: bytes, page: int = 0) -> np.ndarray:
    """A page as it looks, (h, w) greys at 72 dots an inch."""
    document = pypdfium2.PdfDocument(data)
    return np.asarray(document[page].render(scale=1).to_pil().convert("L"))


def test_it_says_who_what_when_and_how_it_can_be_checked(
    clinician_a: User, study: Study, signed: Reading, result: Result
) -> None:
    add_addendum(actor=clinician_a, reading=signed, text="Seen again with the priors.")
    text = text_of(issued(clinician_a, study))
    for part in (
        "North Hospital",
        "Nordlund, Nina",
        "N-1001",
        "14 March 1962",
        "Female",
        "Version 3, issued 21 November 2026",
        "Dense right lower zone.",
        "Agrees with the AI",
        "Signed by Alice Archer (alice)",
        "Addendum Seen again with the priors.",
        "nina.png",
        "91%",
        "COVID-19 not called at 46.00% (the model’s own)",
        "Unreliable: the answer stays when the lungs are covered.",
        "COVID-19 can’t be ruled out.",
        "74% of the evidence lies inside the lungs",
        "phantom-net 1.2.0",
        receipt_hash(RECEIPT),
        "Decision support, not a diagnosis.",
        "7K3M-7K3M-7K3M-7K3M-7K3M-7K3M-7K3M",
        address(CODE),
    ):
        assert part in text, part
    # The doubts stand before the numbers.
    assert text.index("Unreliable:") < text.index("Calibrated probabilities")
    assert "PRELIMINARY" not in text
    assert "NOT SIGNED" not in text


def test_what_was_measured_is_printed_with_the_reading(clinician_a: User, study: Study) -> None:
    (image,) = study.images.all()
    items = [
        {"kind": "length", "points": [[10, 20], [40, 60]]},
        {"kind": "angle", "points": [[100, 50], [50, 50], [50, 100]]},
    ]
    save_measurements(actor=clinician_a, image=image, items=items)
    sign(clinician_a, study)
    text = text_of(issued(clinician_a, study))
    assert "Measured in nina.png: Length 50 px, Angle 90.0° Agrees with the AI" in text


def test_two_pictures_the_second_with_the_heatmap(
    clinician_a: User, study: Study, signed: Reading
) -> None:
    pages = PdfReader(io.BytesIO(issued(clinician_a, study))).pages
    plain, heated = (p.image.convert("RGB") for page in pages for p in page.images)
    assert plain.size == heated.size == (256, 256)
    red, _green, blue = (np.asarray(c, dtype=int) for c in heated.split())
    assert (red - blue)[159, 84] > 60  # the warm spot
    red, _green, blue = (np.asarray(c, dtype=int) for c in plain.split())
    assert abs(red - blue).max() < 8


def test_on_paper_there_is_ink_where_it_should_be(
    clinician_a: User, study: Study, signed: Reading
) -> None:
    page = drawn(issued(clinician_a, study))
    assert page.shape == (842, 596)
    assert (page[:, :40] > 250).all(), "the margins are free"
    assert page[40:120, 470:550].min() < 10, "the code to scan"
    assert page[50:100, 48:250].min() < 80, "the title"


def test_the_code_on_paper_leads_to_the_public_page(
    clinician_a: User, study: Study, signed: Reading
) -> None:
    """Reads the modules back and compares them with those of the address."""
    from reportlab.graphics.barcode.qr import QrCodeWidget

    wanted = QrCodeWidget(address(CODE), barLevel="M", barBorder=0)
    wanted.draw()
    modules = np.array(wanted.qr.modules, dtype=bool)
    page = pypdfium2.PdfDocument(issued(clinician_a, study))[0]
    grey = np.asarray(page.render(scale=6).to_pil().convert("L"))
    side = 66 * 6
    top, left = 17 / 25.4 * 72 * 6, (595.28 - 17 / 25.4 * 72) * 6 - side
    step = side / len(modules)
    at = ((np.arange(len(modules)) + 0.5) * step).astype(int)
    assert ((grey[int(top) + at][:, int(left) + at] < 128) == modules).all()


def test_the_same_content_gives_the_same_bytes(
    clinician_a: User, study: Study, signed: Reading
) -> None:
    assert issued(clinician_a, study) == issued(clinician_a, study)


def test_markup_is_text_and_long_text_goes_on_on_the_next_page(
    clinician_a: User, study: Study
) -> None:
    hostile = "<b>bold</b> & <font size=90>x</font> <img src='file:///etc/passwd'/> &amp; {{ x }}\n"
    sign(clinician_a, study, text=hostile + "Wort " * 3900)
    data = issued(clinician_a, study)
    pages = PdfReader(io.BytesIO(data)).pages
    text = text_of(data)
    for part in hostile.split():
        assert part in text
    assert text.count("Wort") == 3900
    assert len(pages) >= 4
    for number, page in enumerate(pages, 1):
        said = page.extract_text()
        assert f"{number} / {len(pages)}" in said
        assert "MRN N-1001" in said
    assert b"/URI" not in data
    assert b"/JavaScript" not in data


def test_a_word_without_end_and_many_lines_are_printed_too(clinician_a: User, study: Study) -> None:
    sign(clinician_a, study, text="W" * 9000 + "\n" * 3000 + "end of it")
    text = text_of(issued(clinician_a, study))
    assert text.replace(" ", "").count("W") >= 9000
    assert "end of it" in text


def test_names_of_all_europe_are_printed(clinician_a: User, north: Site) -> None:
    patient = Patient.objects.create(
        site=north, mrn="Č-1", family_name="Žluťoučký-Παπαδόπουλος", given_name="Ёлка Þórður"
    )
    image = rows.send_image(clinician_a, patient)
    rows.finish(image)
    text = text_of(print_preliminary(actor=clinician_a, study=rows.study_of(image)))
    assert "Žluťoučký-Παπαδόπουλος, Ёлка Þórður" in text
    assert "does not hold" not in text


def test_letters_that_cannot_be_printed_are_owned_up_to(clinician_a: User, study: Study) -> None:
    sign(clinician_a, study, text="山田")
    text = text_of(issued(clinician_a, study))
    assert "□□" in text
    assert "2 characters that the print font does not hold" in text


def test_unsigned_it_says_so_on_every_page(clinician_a: User, study: Study) -> None:
    data = print_preliminary(actor=clinician_a, study=study)
    for page in PdfReader(io.BytesIO(data)).pages:
        assert "PRELIMINARY – NOT SIGNED" in page.extract_text()
    text = text_of(data)
    assert "There is no signed reading." in text
    assert "verify" not in text


def test_signed_but_not_issued_it_is_a_copy(
    clinician_a: User, study: Study, signed: Reading
) -> None:
    text = text_of(print_preliminary(actor=clinician_a, study=study))
    assert "NOT AN ISSUED REPORT" in text
    assert "verify" not in text


def test_an_answer_that_is_hidden_is_not_printed(
    clinician_a: User, admin_a: User, north: Site, patient_a: Patient
) -> None:
    set_blind_first(actor=admin_a, site=north, is_on=True)
    image = rows.send_image(clinician_a, patient_a)
    rows.finish(image, Label.PNEUMONIA, carried=rows.evidence())
    data = print_preliminary(actor=clinician_a, study=rows.study_of(image))
    text = text_of(data)
    assert "once you have recorded your first impression" in text
    for part in ("Pneumonia", "91%", "phantom-net", "heatmap"):
        assert part not in text
    (picture,) = [p for page in PdfReader(io.BytesIO(data)).pages for p in page.images]
    assert picture.image.size == (256, 256)


def test_a_confirmed_diagnosis_is_printed(clinician_a: User, study: Study, signed: Reading) -> None:
    record_diagnosis(
        actor=clinician_a,
        study=study,
        label="covid",
        basis="rt_pcr",
        date=timezone.localdate(),
        note="Second swab <i>positive</i>.",
    )
    text = text_of(issued(clinician_a, study))
    assert "Confirmed diagnosis COVID-19 (RT-PCR" in text
    assert "<i>positive</i>" in text


def test_the_answer_printed_is_the_one_that_stood_beside_the_signature(
    clinician_a: User, study: Study, signed: Reading, result: Result
) -> None:
    newer = Result.objects.get(pk=result.pk)
    newer.pk, newer._state.adding = uuid4(), True
    newer.label, newer.p_covid, newer.p_pneumonia = Label.COVID, 0.91, 0.06
    newer.model_version = type(newer.model_version).objects.create(
        name="phantom-net",
        version="2.0.0",
        weights_sha256="1" * 64,
        preprocessing_version="1",
        manifest={},
    )
    newer.save()
    text = text_of(issued(clinician_a, study))
    assert "phantom-net 1.2.0" in text
    assert "2.0.0" not in text


def test_a_picture_that_is_gone_leaves_its_words(
    clinician_a: User, study: Study, signed: Reading, result: Result
) -> None:
    storage.discard(result.image.display)
    assert "The picture could not be printed." in text_of(issued(clinician_a, study))


def test_a_twelve_megapixel_image_is_printed_small_and_soon(
    clinician_a: User, patient_a: Patient
) -> None:
    target = io.BytesIO()
    Picture.effect_noise((4000, 3000), 60).save(target, "JPEG", quality=80)
    received = receive_image(
        actor=clinician_a, patient=patient_a, study_id=uuid4(), content=target.getvalue()
    )
    rows.finish(received.image)
    started = time.perf_counter()
    data = print_preliminary(actor=clinician_a, study=rows.study_of(received.image))
    assert time.perf_counter() - started < 10
    sizes = [p.image.size for page in PdfReader(io.BytesIO(data)).pages for p in page.images]
    assert sizes == [(1000, 750)] * 2
    assert len(data) < 2_000_000


def test_of_many_images_the_first_are_pictured_and_all_are_named(
    clinician_a: User, patient_a: Patient
) -> None:
    study_id = uuid4()
    for seed in range(MOST_PICTURED + 2):
        image = rows.send_image(
            clinician_a, patient_a, study_id=study_id, name=f"film-{seed}.png", seed=seed
        )
        rows.finish(image)
    data = print_preliminary(actor=clinician_a, study=rows.study_of(image))
    pictures = [p for page in PdfReader(io.BytesIO(data)).pages for p in page.images]
    assert len(pictures) == 2 * MOST_PICTURED
    text = text_of(data)
    for seed in range(MOST_PICTURED + 2):
        assert f"film-{seed}.png" in text
    assert text.count("This picture is not printed") == 2
