"""Diagnoses from a file: nothing is guessed, and the report says why a line does not fit."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.core.errors import Forbidden, InvalidInput
from screening.patients.models import Patient
from screening.studies import diagnosis_import
from screening.studies.diagnosis_import import Line, Report, import_rows, judge_rows
from screening.studies.models import ConfirmedDiagnosis, Study
from tests.personas import ClientOf

HEADING = "study,mrn,study_date,diagnosis,basis,confirmed_on,note"


def make_study(patient: Patient, user: User, taken_on: dt.date | None = None) -> Study:
    return Study.objects.create(
        site=patient.site, patient=patient, uploaded_by=user, taken_on=taken_on
    )


@pytest.fixture
def study(patient_a: Patient, clinician_a: User) -> Study:
    return make_study(patient_a, clinician_a, dt.date(2026, 2, 1))


def judged(admin: User, site: Site, *lines: str, replace: bool = False) -> Report:
    return judge_rows(actor=admin, site=site, text="\n".join((HEADING, *lines)), replace=replace)


def only(report: Report) -> Line:
    assert len(report.lines) == 1
    return report.lines[0]


def test_a_dry_run_writes_no_diagnosis(admin_a: User, north: Site, study: Study) -> None:
    report = judged(admin_a, north, f"{study.pk},,,covid,rt_pcr,2026-02-02,Ct 20")
    assert [line.verdict for line in report.lines] == ["new"]
    assert not ConfirmedDiagnosis.objects.exists()
    event = Event.objects.get(action="diagnosis.import_check")
    assert event.detail == {"lines": 1, "fitting": 1, "replacing": 0, "same": 0, "misfits": 0}


def test_what_fits_is_recorded_and_the_rest_is_not(
    admin_a: User, north: Site, study: Study
) -> None:
    text = "\n".join(
        (
            HEADING,
            f"{study.pk},,,COVID-19,RT-PCR,2026-02-02,Ct 20",
            f"{study.pk}x,,,covid,rt_pcr,2026-02-02,",
        )
    )
    report = import_rows(actor=admin_a, site=north, text=text, replace=False)
    assert (len(report.fitting), len(report.misfits)) == (1, 1)
    made = ConfirmedDiagnosis.objects.get()
    assert (made.study, made.label, made.basis, made.note) == (study, "covid", "rt_pcr", "Ct 20")
    assert made.recorded_by == admin_a
    assert Event.objects.filter(action="diagnosis.record").count() == 1
    assert Event.objects.filter(action="diagnosis.import").count() == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("not-a-key,,,covid,rt_pcr,2026-02-02,", "no such study"),
        (",,,covid,rt_pcr,2026-02-02,", "names no study"),
        (",N-1001,,covid,rt_pcr,2026-02-02,", "names no study"),
        (",N-9,2026-02-01,covid,rt_pcr,2026-02-02,", "No patient with this MRN"),
        (",N-1001,2026-02-09,covid,rt_pcr,2026-02-02,", "no study of that day"),
        (",N-1001,01/02/2026,covid,rt_pcr,2026-02-02,", "study_date must be a date"),
        (",N-1001,2026-02-01,flu,rt_pcr,2026-02-02,", "diagnosis must be one of"),
        (",N-1001,2026-02-01,covid,guess,2026-02-02,", "basis must be one of"),
        (",N-1001,2026-02-01,covid,rt_pcr,2.2.2026,", "confirmed_on must be a date"),
        (",N-1001,2026-02-01,covid,rt_pcr,2999-02-02,", "future"),
        (",N-1001,2026-02-01,covid,rt_pcr", "more or fewer cells"),
    ],
)
def test_a_line_that_does_not_fit_says_why(
    admin_a: User, north: Site, study: Study, line: str, why: str
) -> None:
    found = only(judged(admin_a, north, line))
    assert found.verdict == "misfit"
    assert why in found.problem


def test_mrn_and_day_name_one_study(
    admin_a: User, clinician_a: User, north: Site, patient_a: Patient, study: Study
) -> None:
    line = ",n-1001,2026-02-01,normal,final_diagnosis,2026-02-05,"
    assert only(judged(admin_a, north, line)).study == study
    make_study(patient_a, clinician_a, dt.date(2026, 2, 1))
    found = only(judged(admin_a, north, line))
    assert "2 studies of that day" in found.problem


def test_a_study_without_a_day_of_its_own_has_that_of_its_arrival(
    admin_a: User, clinician_a: User, north: Site, patient_a: Patient
) -> None:
    made = make_study(patient_a, clinician_a)
    today = timezone.localdate().isoformat()
    assert only(judged(admin_a, north, f",N-1001,{today},other,other,2026-01-01,")).study == made


def test_key_and_mrn_must_agree(admin_a: User, north: Site, study: Study) -> None:
    wrong = f"{study.pk},N-7,,covid,rt_pcr,2026-02-02,"
    assert "another MRN" in only(judged(admin_a, north, wrong)).problem
    wrong = f"{study.pk},,2026-02-03,covid,rt_pcr,2026-02-02,"
    assert "another day" in only(judged(admin_a, north, wrong)).problem


def test_what_is_recorded_already_is_replaced_only_when_that_was_asked(
    admin_a: User, north: Site, study: Study
) -> None:
    line = f"{study.pk},,,covid,rt_pcr,2026-02-02,"
    import_rows(actor=admin_a, site=north, text=f"{HEADING}\n{line}", replace=False)
    assert only(judged(admin_a, north, line)).verdict == "same"
    other = line.replace("covid", "normal")
    assert "Another diagnosis is recorded" in only(judged(admin_a, north, other)).problem
    assert only(judged(admin_a, north, other, replace=True)).verdict == "replaces"
    import_rows(actor=admin_a, site=north, text=f"{HEADING}\n{other}", replace=True)
    assert ConfirmedDiagnosis.objects.current().get().label == "normal"
    assert ConfirmedDiagnosis.objects.count() == 2


def test_lines_that_contradict_each_other_are_not_believed(
    admin_a: User, north: Site, study: Study
) -> None:
    line = f"{study.pk},,,covid,rt_pcr,2026-02-02,"
    report = judged(admin_a, north, line, line.replace("covid", "normal"))
    assert [found.verdict for found in report.lines] == ["misfit", "misfit"]
    assert "Lines 2, 3 speak of the same study" in report.lines[0].problem
    assert [found.verdict for found in judged(admin_a, north, line, line).lines] == ["new", "same"]


def test_a_study_of_another_site_is_not_there(admin_b: User, south: Site, study: Study) -> None:
    for line in (
        f"{study.pk},,,covid,rt_pcr,2026-02-02,",
        ",N-1001,2026-02-01,covid,rt_pcr,2026-02-02,",
    ):
        assert only(judged(admin_b, south, line)).verdict == "misfit"


def test_only_an_admin_of_the_site_imports(
    clinician_a: User, admin_b: User, north: Site, study: Study
) -> None:
    for stranger in (clinician_a, admin_b):
        for act in (judge_rows, import_rows):
            with pytest.raises(Forbidden):
                act(actor=stranger, site=north, text=f"{HEADING}\nx", replace=False)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_heading"),
        ("study,diagnosis,basis\nx,y,z", "bad_heading"),
        ("mrn,diagnosis,basis,confirmed_on\nx,y,z,a", "bad_heading"),
        (f"{HEADING},surprise\nx", "bad_heading"),
        (f"{HEADING},note\nx", "bad_heading"),
        (f"{HEADING}\n,,,,,,\n", "no_rows"),
        (f'{HEADING}\n"a"b,,,,,,', "not_csv"),
        (f"{HEADING}\na\x00,,,,,,", "not_csv"),
    ],
)
def test_a_file_that_is_none_is_refused_whole(
    admin_a: User, north: Site, text: str, code: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        judge_rows(actor=admin_a, site=north, text=text, replace=False)
    assert refused.value.code == code


def test_too_many_lines_are_refused(
    admin_a: User, north: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis_import, "MAX_ROWS", 2)
    with pytest.raises(InvalidInput) as refused:
        judged(admin_a, north, *[",a,2026-01-01,covid,other,2026-01-01,"] * 3)
    assert refused.value.code == "too_many_rows"


def test_semicolons_and_a_byte_order_mark_are_understood(
    admin_a: User, north: Site, study: Study
) -> None:
    file = SimpleUploadedFile(
        "list.csv",
        b"\xef\xbb\xbfstudy;diagnosis;basis;confirmed_on\r\n"
        + f"{study.pk};other;other;2026-02-02\r\n".encode(),
    )
    text = diagnosis_import.read_text(file)
    report = judge_rows(actor=admin_a, site=north, text=text, replace=False)
    assert only(report).verdict == "new"
    with pytest.raises(InvalidInput, match="UTF-8"):
        diagnosis_import.read_text(SimpleUploadedFile("list.csv", "größer".encode("latin-1")))
    with pytest.raises(InvalidInput, match="too large"):
        diagnosis_import.read_text(SimpleUploadedFile("list.csv", b"x" * 1_000_001))


@given(st.text(max_size=300))
def test_no_text_brings_the_reader_down(text: str) -> None:
    """Whatever is sent, it is read as lines, or refused with a code."""
    for given_text in (text, f"{HEADING}\n{text}"):
        code, lines = "", []
        try:
            lines = list(diagnosis_import._read_rows(given_text))
        except InvalidInput as refused:
            code = refused.code
        assert bool(lines) != bool(code)
        assert code in {"", "bad_heading", "not_csv", "no_rows"}
        assert all(number >= 2 for number, _row in lines)


def test_an_admin_checks_a_file_and_then_records_it(
    admin_a: User, clinician_a: User, study: Study, client_of: ClientOf
) -> None:
    client = client_of(admin_a)
    text = f"{HEADING}\n{study.pk},,,covid,rt_pcr,2026-02-02,\nnowhere,,,covid,rt_pcr,2026-02-02,"
    checked = client.post(
        "/site/diagnoses/", {"file": SimpleUploadedFile("list.csv", text.encode())}
    )
    page = checked.content.decode()
    assert "What would be done" in page
    assert "Record 1 diagnosis" in page
    assert "There is no such study at your site." in page
    assert not ConfirmedDiagnosis.objects.exists()
    done = client.post("/site/diagnoses/", {"text": checked.context["text"]}).content.decode()
    assert "1 diagnosis was recorded." in done
    assert ConfirmedDiagnosis.objects.current().get().study == study
    assert client_of(clinician_a).get("/site/diagnoses/").status_code == 403


def test_the_page_says_what_is_wrong_with_a_file(admin_a: User, client_of: ClientOf) -> None:
    client = client_of(admin_a)
    assert "Choose a file." in client.post("/site/diagnoses/", {}).content.decode()
    sent = SimpleUploadedFile("list.csv", b"a,b\n1,2")
    answer = client.post("/site/diagnoses/", {"file": sent})
    assert answer.status_code == 422
    assert "must name the columns" in answer.content.decode()
