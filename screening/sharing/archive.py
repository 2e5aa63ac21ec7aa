"""Writing the ZIP of an export: pictures, answers, a manifest with every file's SHA-256."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import IO, Any, Final

import numpy as np
from PIL import Image as Picture

from screening.accounts.models import User
from screening.core.spreadsheets import csv_lines
from screening.reading.models import Reading
from screening.record.cards import ImageCard, StudyCard, cards_for
from screening.record.selectors import studies_for
from screening.sharing import dicom, profile
from screening.sharing.answers import HEADING, Lines, age_at, arrived_on, as_rows
from screening.sharing.blackout import blacken
from screening.sharing.lettering import find_lettering
from screening.sharing.models import Export
from screening.sharing.options import Dates, ExportOptions
from screening.sharing.pseudonyms import Pseudonyms
from screening.studies import storage
from screening.studies.models import ConfirmedDiagnosis, Image
from screening.studies.originals import Original, open_original

VERSION: Final = 1
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The date of every file in the archive: when it was made is nobody's business."""

README: Final = """\
De-identified chest X-rays with the answers of ThoraScreen.

manifest.json  what was done, and the SHA-256 of every file
studies.csv    one line an image: the model's answer, the reading, the confirmed diagnosis
studies.json   the same for programs
patients       one folder a pseudonym, one a study

Identifiers were removed after DICOM PS3.15, Basic Application Level Confidentiality Profile.
Nobody can promise that no one is recognised: a rare finding, an implant, or words in the picture
may tell. Pictures that may hold words are listed in manifest.json under "lettering".
The model's answers are decision support, not a diagnosis.
"""


@dataclass
class Written:
    """What came of it. ``studies`` maps a study's key to what its row in the database keeps."""

    images: int = 0
    findings: list[dict[str, Any]] = field(default_factory=list)
    studies: dict[Any, dict[str, Any]] = field(default_factory=dict)


class Archive:
    """One ZIP while it is written; ``actor`` is whoever asked, whose eyes decide what is hidden."""

    def __init__(self, target: IO[bytes], export: Export, actor: User, key: bytes) -> None:
        self._zip = zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=3)
        self._export = export
        self._actor = actor
        self._options = ExportOptions.of(export.options)
        self._names = Pseudonyms(key)
        self._files: list[dict[str, Any]] = []
        self._lines: list[dict[str, Any]] = []
        self._numbers: dict[str, int] = {}
        self.written = Written()

    def write(self) -> Written:
        """Everything, study by study."""
        with self._zip:
            for card in self._cards():
                self._study(card)
            self._put("studies.csv", "".join(csv_lines(HEADING, as_rows(self._lines))).encode())
            self._put("studies.json", _json(self._lines))
            self._put("README.txt", README.encode())
            self._put("manifest.json", _json(self._manifest()), listed=False)
        return self.written

    def _cards(self) -> Iterator[StudyCard]:
        keys = list(self._export.studies.values_list("study_id", flat=True))
        rows = studies_for(self._actor).filter(pk__in=keys).order_by("created_at", "id")
        yield from cards_for(self._actor, rows)

    def _study(self, card: StudyCard) -> None:
        study, patient = card.study, card.study.patient
        pseudonym = self._names.patient(patient.pk)
        number = self._numbers[pseudonym] = self._numbers.get(pseudonym, 0) + 1
        folder = f"patients/{pseudonym}/study-{number:03d}"
        study_uid = self._names.uid("study", str(study.pk))
        shifts = self._options.dates == Dates.SHIFT
        shift = self._names.shift(patient.pk) if shifts else None

        def told(day: date | None) -> str:
            moved = self._names.shifted(patient.pk, day) if day is not None and shifts else None
            return moved.isoformat() if moved is not None else ""

        day = study.taken_on or arrived_on(card)
        keeps = self._options.keep_sex_and_age
        age = age_at(patient, day) if keeps else None
        about = {
            "patient": pseudonym,
            "sex": patient.sex if keeps else "",
            "age": "" if age is None else min(age, dicom.OLDEST_SAID + 1),
            "study": study_uid,
            "taken": told(study.taken_on),
            "received": told(arrived_on(card)),
            "told": told,
        }
        lines = Lines(
            card,
            about=about,
            reading=Reading.objects.visible_to(self._actor)
            .filter(study=study, of_record=True)
            .first(),
            diagnosis=ConfirmedDiagnosis.objects.visible_to(self._actor)
            .current()
            .filter(study=study)
            .first(),
            with_text=self._options.with_text,
        )
        for place, image in enumerate(card.images, start=1):
            stand_in = dicom.StandIn(
                patient=pseudonym,
                study_uid=study_uid,
                series_uid=self._names.uid("series", str(study.pk)),
                sop_uid=self._names.uid("image", str(image.image.pk)),
                number=place,
                shift=shift,
                day=study.taken_on,
                sex=patient.sex if keeps else "",
                age=age,
                keeps_characteristics=keeps,
                boxes=self._options.boxes_of(image.image.pk),
            )
            self._image(image, folder, stand_in, lines)
        with_answer = not card.hidden and any(one.result for one in card.images)
        self.written.studies[study.pk] = {
            "with_answer": with_answer,
            "patient_pseudonym": pseudonym if self._options.keep_list else "",
            "study_uid": study_uid if self._options.keep_list else "",
            "shift_days": shift.days if shift is not None and self._options.keep_list else None,
        }

    def _image(self, card: ImageCard, folder: str, stand_in: dicom.StandIn, lines: Lines) -> None:
        image = card.image
        original = open_original(image)
        is_dicom = original.dataset is not None or self._options.as_dicom
        name = f"{folder}/image-{stand_in.number:03d}{'.dcm' if is_dicom else '.png'}"
        stated = _stated(original)
        boxes = [
            [round(side, 1) for side in (box.left, box.top, box.right, box.bottom)]
            for box in lettering_in(image, stand_in)
        ]
        if boxes or (stated == "YES" and not stand_in.boxes):
            self.written.findings.append(
                {"file": name, "image": str(image.pk), "stated": stated, "boxes": boxes}
            )
        self._put(
            name,
            _picture(original, stand_in, is_dicom=is_dicom),
            lettering=bool(boxes),
            stated_burned_in=stated,
            blackened=len(stand_in.boxes),
        )
        self._lines.append(lines.of(card, name))
        self.written.images += 1

    def _manifest(self) -> dict[str, Any]:
        codes = dicom.codes_of(
            shifted=self._options.dates == Dates.SHIFT,
            characteristics=self._options.keep_sex_and_age,
            cleaned=False,
        )
        return {
            "version": VERSION,
            "profile": f"DICOM PS3.15 {profile.EDITION}, table E.1-1",
            "codes": {code: profile.DEIDENTIFICATION_CODES[code] for code in codes},
            "options": self._options.as_told(),
            "free_text": "included as asked, may identify"
            if self._options.with_text
            else "left out: nothing can tell reliably what in it points at a person",
            "lettering": [
                {"file": one["file"], "stated": one["stated"], "boxes": one["boxes"]}
                for one in self.written.findings
            ],
            "files": self._files,
        }

    def _put(self, name: str, data: bytes, *, listed: bool = True, **about: Any) -> None:
        entry = zipfile.ZipInfo(name, EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o600 << 16
        self._zip.writestr(entry, data)
        if listed:
            digest = hashlib.sha256(data).hexdigest()
            self._files.append({"name": name, "sha256": digest, "bytes": len(data), **about})


def lettering_in(image: Image, stand_in: dicom.StandIn) -> list[Any]:
    """Where words seem to stand in what pages show of ``image``, once parts were blackened."""
    with Picture.open(io.BytesIO(storage.read(image.display))) as opened:
        grey = np.array(opened.convert("L"))
    blacken(grey, stand_in.boxes, 0)
    return find_lettering(grey)


def _picture(original: Original, stand_in: dicom.StandIn, *, is_dicom: bool) -> bytes:
    if original.dataset is not None:
        return dicom.deidentify(original.values, original.dataset, stand_in)
    if is_dicom:
        return dicom.secondary_capture(original.values, stand_in)
    values = original.values.copy()
    blacken(values, stand_in.boxes, 0)
    target = io.BytesIO()
    Picture.fromarray(values).save(target, "PNG")
    return target.getvalue()


def _stated(original: Original) -> str:
    if original.dataset is None:
        return ""
    check = profile.KEPT["BurnedInAnnotation"]
    return str(check(original.dataset.get("BurnedInAnnotation") or "") or "")


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode()
