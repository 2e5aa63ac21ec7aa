"""Confirmed diagnoses from a CSV file. Nothing is guessed: a line fits one study, or none.

A line names its study by ``study`` (the key in the study's address) or by ``mrn`` and
``study_date``. The day of a study is the one its images' file named, else the day it arrived. A
file is judged line by line first, without writing; recording judges it again.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.core.files.base import File
from django.db import transaction
from django.db.models import Prefetch
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import InvalidInput, PortalError
from screening.patients.normalise import mrn_key
from screening.studies.diagnoses import check_values, record_diagnoses
from screening.studies.models import Basis, ConfirmedDiagnosis, Diagnosis, Study

COLUMNS = ("study", "mrn", "study_date", "diagnosis", "basis", "confirmed_on", "note")
NEEDED = ("diagnosis", "basis", "confirmed_on")
MAX_BYTES = 1_000_000
MAX_ROWS = 2_000


class Verdict(StrEnum):
    """What becomes of a line."""

    NEW = "new"
    REPLACES = "replaces"
    SAME = "same"
    MISFIT = "misfit"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file: what it says, whether it fits, and why not."""

    number: int
    named: str
    verdict: Verdict
    problem: str = ""
    study: Study | None = None
    values: dict[str, Any] | None = None

    @property
    def diagnosis(self) -> str:
        """What it says, as pages call it."""
        return str(Diagnosis(self.values["label"]).label) if self.values else ""

    @property
    def basis(self) -> str:
        """What that rests on, as pages call it."""
        return str(Basis(self.values["basis"]).label) if self.values else ""


@dataclass(frozen=True, slots=True)
class Report:
    """What is, or would be, done with each line of a file."""

    lines: list[Line]

    def _with(self, *verdicts: Verdict) -> list[Line]:
        return [line for line in self.lines if line.verdict in verdicts]

    @property
    def fitting(self) -> list[Line]:
        """Lines that are, or would be, recorded."""
        return self._with(Verdict.NEW, Verdict.REPLACES)

    @property
    def replacing(self) -> list[Line]:
        """Those of them that supersede another diagnosis."""
        return self._with(Verdict.REPLACES)

    @property
    def same(self) -> list[Line]:
        """Lines that say what is recorded already."""
        return self._with(Verdict.SAME)

    @property
    def misfits(self) -> list[Line]:
        """Lines that are not recorded, with the reason."""
        return self._with(Verdict.MISFIT)


class _Misfit(Exception):
    """Why a line fits no study, in one sentence."""


def read_text(file: File[bytes]) -> str:
    """The file's text. Raises ``InvalidInput`` for one that is too large or not UTF-8."""
    data: bytes = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InvalidInput(
            _("The file is too large: at most %(size)s MB.") % {"size": MAX_BYTES // 10**6},
            code="file_too_large",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(
            _("The file is not UTF-8 text. Save it as “CSV UTF-8”."), code="not_utf8"
        ) from None


def judge_rows(*, actor: User, site: Site, text: str, replace: bool) -> Report:
    """What would be recorded, and which lines do not fit; writes nothing but the audit.

    :raises Forbidden: the actor may not import diagnoses at ``site``.
    :raises InvalidInput: the file as a whole cannot be read.
    """
    policies.require(actor, Permission.IMPORT_DIAGNOSES, site.pk)
    report = _judge(actor, site, text, replace)
    record("diagnosis.import_check", site_id=site.pk, actor=actor, detail=_counts(report))
    return report


@transaction.atomic
def import_rows(*, actor: User, site: Site, text: str, replace: bool) -> Report:
    """Record every line that fits, all or none of them, and say what was done with each.

    :raises Forbidden, InvalidInput: as ``judge_rows``.
    :raises Conflict: somebody recorded one of these diagnoses at the same moment.
    """
    policies.require(actor, Permission.IMPORT_DIAGNOSES, site.pk)
    report = _judge(actor, site, text, replace)
    entries = [
        (line.study, line.values)
        for line in report.fitting
        if line.study is not None and line.values is not None
    ]
    record_diagnoses(actor=actor, site=site, entries=entries, replace=replace)
    record("diagnosis.import", site_id=site.pk, actor=actor, detail=_counts(report))
    return report


def _counts(report: Report) -> dict[str, int]:
    return {
        "lines": len(report.lines),
        "fitting": len(report.fitting),
        "replacing": len(report.replacing),
        "same": len(report.same),
        "misfits": len(report.misfits),
    }


def _judge(actor: User, site: Site, text: str, may_replace: bool) -> Report:
    rows = list(_read_rows(text))
    studies = _Studies(actor, site, [row for _number, row in rows])
    return Report(_without_contradictions(_judge_line(n, r, studies, may_replace) for n, r in rows))


def _read_rows(text: str) -> Iterable[tuple[int, dict[str, str]]]:
    """Number and cells of each line that is not empty; the file's heading is line 1."""
    if "\x00" in text:
        raise InvalidInput(_("This is not a CSV file."), code="not_csv")
    first = text.partition("\n")[0]
    mark = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text), delimiter=mark, strict=True)
    try:
        heading = [cell.strip().lower() for cell in next(reader, [])]
        _check_heading(heading)
        rows = []
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, cells))
            if len(rows) > MAX_ROWS:
                raise InvalidInput(
                    _("The file has more than %(count)s lines; divide it.") % {"count": MAX_ROWS},
                    code="too_many_rows",
                )
    except csv.Error:
        raise InvalidInput(
            _("This is not a CSV file: line %(line)s cannot be read.") % {"line": reader.line_num},
            code="not_csv",
        ) from None
    if not rows:
        raise InvalidInput(_("The file has a heading, but no lines."), code="no_rows")
    for number, cells in rows:
        row = {name: cell.strip() for name, cell in zip(heading, cells, strict=False)}
        row[""] = "" if len(cells) == len(heading) else "ragged"
        yield number, row


def _check_heading(heading: list[str]) -> None:
    unknown = sorted({name or "(empty)" for name in heading} - set(COLUMNS))
    doubled = sorted({name for name in heading if heading.count(name) > 1})
    missing = [name for name in NEEDED if name not in heading]
    if "study" not in heading and not {"mrn", "study_date"} <= set(heading):
        missing.insert(0, "study")
    for names, sentence in (
        (missing, _("The first line must name the columns; missing: %(names)s.")),
        (unknown, _("The first line names columns that are not known: %(names)s.")),
        (doubled, _("The first line names a column twice: %(names)s.")),
    ):
        if names:
            shown = ", ".join(name[:40] for name in names[:5])
            raise InvalidInput(sentence % {"names": shown}, code="bad_heading")


class _Studies:
    """The site's studies that a file names, fetched in a few queries."""

    def __init__(self, actor: User, site: Site, rows: list[dict[str, str]]) -> None:
        known = ConfirmedDiagnosis.objects.current()
        mine = (
            Study.objects.visible_to(actor)
            .filter(site=site)
            .select_related("patient")
            .prefetch_related(Prefetch("diagnoses", known, to_attr="current_diagnoses"))
        )
        keys = {key for row in rows if (key := _uuid(row.get("study", ""))) is not None}
        mrns = {mrn_key(row["mrn"]) for row in rows if row.get("mrn")}
        self._by_key: dict[UUID, Study] = {}
        self._by_mrn: dict[str, list[Study]] = defaultdict(list)
        for part in _parts(keys):
            for study in mine.filter(pk__in=part):
                self._by_key[study.pk] = study
        for part in _parts(mrns):
            for study in mine.filter(patient__mrn_key__in=part):
                self._by_mrn[study.patient.mrn_key].append(study)

    def of(self, row: dict[str, str]) -> Study:
        """The one study that a line means. Raises ``_Misfit``."""
        mrn, day = row.get("mrn", ""), row.get("study_date", "")
        if row.get("study"):
            key = _uuid(row["study"])
            study = self._by_key.get(key) if key is not None else None
            if study is None:
                raise _Misfit(_("There is no such study at your site."))
            if mrn and mrn_key(mrn) != study.patient.mrn_key:
                raise _Misfit(_("This study belongs to a patient with another MRN."))
            if day and _day(day, "study_date") != _day_of(study):
                raise _Misfit(_("This study is of another day."))
            return study
        if not (mrn and day):
            raise _Misfit(_("The line names no study: give study, or mrn and study_date."))
        wanted = _day(day, "study_date")
        of_patient = self._by_mrn.get(mrn_key(mrn), [])
        if not of_patient:
            raise _Misfit(_("No patient with this MRN has a study at your site."))
        found = [study for study in of_patient if _day_of(study) == wanted]
        if not found:
            raise _Misfit(_("This patient has no study of that day."))
        if len(found) > 1:
            raise _Misfit(
                _("This patient has %(count)s studies of that day: name the one you mean.")
                % {"count": len(found)}
            )
        return found[0]


def _judge_line(number: int, row: dict[str, str], studies: _Studies, may_replace: bool) -> Line:
    named = row.get("study") or " ".join(filter(None, (row.get("mrn"), row.get("study_date"))))
    line = Line(number=number, named=named[:100], verdict=Verdict.MISFIT)
    try:
        if row[""]:
            raise _Misfit(_("The line has more or fewer cells than the heading."))
        study = studies.of(row)
        values = _values(row)
        current: list[ConfirmedDiagnosis] = study.current_diagnoses  # type: ignore[attr-defined]
        if not current:
            return replace(line, verdict=Verdict.NEW, study=study, values=values)
        if all(getattr(current[0], name) == value for name, value in values.items()):
            return replace(line, verdict=Verdict.SAME, study=study)
        if not may_replace:
            raise _Misfit(
                _("Another diagnosis is recorded: %(label)s, %(date)s.")
                % {"label": current[0].get_label_display(), "date": current[0].date}
            )
        return replace(line, verdict=Verdict.REPLACES, study=study, values=values)
    except _Misfit as misfit:
        return replace(line, problem=str(misfit))


def _values(row: dict[str, str]) -> dict[str, Any]:
    """What a line says of the diagnosis. Raises ``_Misfit``."""
    label = _choice(row["diagnosis"], Diagnosis)
    if label is None:
        offered = ", ".join(Diagnosis.values)
        raise _Misfit(_("The diagnosis must be one of: %(values)s.") % {"values": offered})
    basis = _choice(row["basis"], Basis)
    if basis is None:
        raise _Misfit(
            _("The basis must be one of: %(values)s.") % {"values": ", ".join(Basis.values)}
        )
    day = _day(row["confirmed_on"], "confirmed_on")
    try:
        return check_values(label=label, basis=basis, date=day, note=row.get("note", ""))
    except PortalError as error:
        raise _Misfit(error.message) from None


def _without_contradictions(lines: Iterable[Line]) -> list[Line]:
    """Two lines of one study: the second is the same, or none of them is believed."""
    by_study: dict[UUID, list[Line]] = defaultdict(list)
    ordered = list(lines)
    for line in ordered:
        if line.study is not None:
            by_study[line.study.pk].append(line)
    changed: dict[int, Line] = {}
    for first, *others in by_study.values():
        if all((one.verdict, one.values) == (first.verdict, first.values) for one in others):
            changed |= {one.number: replace(one, verdict=Verdict.SAME) for one in others}
            continue
        numbers = ", ".join(str(one.number) for one in (first, *others))
        sentence = _("Lines %(numbers)s speak of the same study and contradict each other.")
        for one in (first, *others):
            changed[one.number] = replace(
                one, verdict=Verdict.MISFIT, problem=sentence % {"numbers": numbers}
            )
    return [changed.get(line.number, line) for line in ordered]


def _choice(text: str, choices: type[Diagnosis] | type[Basis]) -> str | None:
    """The value that ``text`` spells, by its code or its name, whatever the case."""
    wanted = text.casefold()
    for value, name in choices.choices:
        if wanted in (value.casefold(), str(name).casefold()):
            return str(value)
    return None


def _day(text: str, column: str) -> dt.date:
    try:
        if len(text) != 10:
            raise ValueError
        return dt.date.fromisoformat(text)
    except ValueError:
        raise _Misfit(
            _("%(column)s must be a date as year-month-day, such as 2026-03-14.")
            % {"column": column}
        ) from None


def _day_of(study: Study) -> dt.date:
    return study.taken_on or timezone.localdate(study.created_at)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _parts(keys: Iterable[Any], size: int = 500) -> Iterable[list[Any]]:
    """Databases bound how many values a query may name."""
    ordered = list(keys)
    return (ordered[start : start + size] for start in range(0, len(ordered), size))
