"""Taking images in, and keeping the summed-up status of a study."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.core.files.base import File
from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.models import Outcome
from screening.audit.services import record
from screening.core import row_security
from screening.core.errors import Conflict, InvalidInput
from screening.core.sealing import StoredFileError
from screening.patients.models import Patient
from screening.studies import allowance, gate, identity, storage
from screening.studies.models import Image, Status, Study
from screening.studies.names import clean_name
from screening.studies.signals import image_received, study_summed_up

logger = logging.getLogger(__name__)

DUPLICATE_MESSAGE = "This very file is already in the study, so nothing was added."


@dataclass(frozen=True, slots=True)
class ReceivedImage:
    """An accepted image. ``duplicate`` says that the study held this very file before."""

    image: Image
    duplicate: bool = False

    @property
    def study(self) -> Study:
        return self.image.study


class _AlreadyThere(Exception):
    """Somebody else's copy of the same file was stored first."""


def receive_image(
    *,
    actor: User,
    patient: Patient,
    study_id: UUID,
    content: bytes | File[bytes],
    original_name: str = "",
    confirm_patient: bool = False,
) -> ReceivedImage:
    """Judge a file and store it with its job, or refuse it and leave nothing behind.

    ``patient`` was found by ``visible_to(actor)``. The caller chooses ``study_id``; the study is
    made with its first accepted image. Sending the same file to the same study again, even at
    the same moment, answers with the image that is there. ``confirm_patient`` says that the actor
    has seen that the file names another patient and knows it to be this one's all the same.

    :raises UploadRefused: the file does not come in; ``code`` and ``message`` say why.
    :raises PatientMismatch: the file names another patient, and nobody has confirmed this one.
    :raises Forbidden: the actor may not upload at the patient's site.
    :raises Conflict: the study belongs to another patient of the site.
    :raises Http404: the study belongs to another site.
    """
    policies.require(actor, Permission.UPLOAD_STUDIES, patient.site_id)
    _check_study(actor, patient, study_id)
    data = gate.read_bounded(content)
    allowance.count_upload(actor, patient, len(data))
    twin = _find_twin(study_id, gate.fingerprint(data))
    if twin is not None:
        return ReceivedImage(twin, duplicate=True)
    checked = gate.check_image(data)
    contradicted = _contradicted(actor, patient, checked, confirm_patient)
    try:
        image = _store(actor, patient, study_id, checked, original_name, contradicted)
        return ReceivedImage(image)
    except (_AlreadyThere, IntegrityError):
        twin = _find_twin(study_id, checked.sha256)
        if twin is None:
            raise
        return ReceivedImage(twin, duplicate=True)


def _contradicted(
    actor: User, patient: Patient, checked: gate.CheckedImage, confirmed: bool
) -> list[str]:
    """The fields in which the file names somebody else than ``patient``, all of them confirmed.

    :raises PatientMismatch: there are some and nobody has confirmed them.
    """
    found = identity.differences(identity.stated_identity(checked), patient)
    if not found:
        return []
    mismatch = identity.PatientMismatch(found)
    if not confirmed:
        record(
            "image.patient_mismatch",
            patient,
            actor=actor,
            outcome=Outcome.DENIED,
            detail={"fields": mismatch.fields},
        )
        raise mismatch
    return mismatch.fields


def _check_study(actor: User, patient: Patient, study_id: UUID) -> None:
    if Study.objects.visible_to(actor).filter(pk=study_id).exclude(patient=patient).exists():
        raise Conflict(
            _("This study belongs to another patient: start a new upload."),
            code="study_of_another_patient",
        )
    with row_security.lifted():  # Whether another site has this very key: nothing else is told.
        if Study.objects.filter(pk=study_id).exclude(patient=patient).exists():
            raise Http404


def _find_twin(study_id: UUID, sha256: str) -> Image | None:
    return Image.objects.select_related("study").filter(study=study_id, sha256=sha256).first()


def _store(
    actor: User,
    patient: Patient,
    study_id: UUID,
    checked: gate.CheckedImage,
    original_name: str,
    contradicted: list[str],
) -> Image:
    """Write the files, then the rows in one transaction."""
    image_id = uuid4()
    contents = (
        (checked.extension, checked.data),
        (".display.jpg", checked.display),
        (".thumbnail.jpg", checked.thumbnail),
    )
    with storage.FilesOfRows() as files:
        try:
            names = [
                files.put(storage.new_name(storage.IMAGES, image_id, suffix), data)
                for suffix, data in contents
            ]
        except (StoredFileError, InvalidInput) as error:
            raise gate.not_stored(error) from None
        except OSError as error:
            logger.error("the file store took no image: %s", error.strerror)
            raise gate.store_unavailable() from None
        with transaction.atomic(durable=True):
            image = _insert(actor, patient, study_id, checked, original_name, image_id, names)
            if contradicted:
                record("image.confirm_patient", image, actor=actor, detail={"fields": contradicted})
            files.keep()
    return image


def _insert(
    actor: User,
    patient: Patient,
    study_id: UUID,
    checked: gate.CheckedImage,
    original_name: str,
    image_id: UUID,
    names: list[str],
) -> Image:
    study, created = Study.objects.get_or_create(
        pk=study_id,
        defaults={
            "site_id": patient.site_id,
            "patient": patient,
            "uploaded_by": actor,
            "taken_on": checked.header.taken_on,
        },
    )
    if created:
        record("study.create", study, actor=actor)
    study = _lock_study(study_id)
    if study.patient_id != patient.pk:
        raise Http404
    others = Image.objects.filter(study=study)
    if others.filter(sha256=checked.sha256).exists():
        raise _AlreadyThere
    if others.count() >= gate.MAX_IMAGES_PER_STUDY:
        raise gate.too_many_files()
    header = checked.header
    row_mm, column_mm = header.pixel_spacing or (None, None)
    image = Image.objects.create(
        pk=image_id,
        study=study,
        sha256=checked.sha256,
        original_name=clean_name(original_name),
        format=header.format,
        size_bytes=len(checked.data),
        width=header.width,
        height=header.height,
        bits_stored=header.bits_stored,
        photometric=header.photometric,
        modality=header.modality,
        view_position=header.view_position,
        pixel_spacing_row_mm=row_mm,
        pixel_spacing_column_mm=column_mm,
        pixel_spacing_kind=header.spacing_kind,
        sop_instance_uid=header.sop_uid,
        original=names[0],
        display=names[1],
        thumbnail=names[2],
    )
    _sum_up_study(study)
    image_received.send(sender=Image, image=image)
    record("image.receive", image, actor=actor, detail={"format": header.format})
    return image


def set_image_status(image_id: UUID, status: Status) -> None:
    """Note how far an image has come, and what that makes of its study.

    Works in the caller's transaction where there is one. The study's row is locked first, so
    that two images that finish together can't both sum up without the other.
    """
    with transaction.atomic(savepoint=False):
        # One question instead of two: this runs twice for every image that comes in.
        study = Study.objects.select_for_update(of=("self",)).get(images=image_id)
        Image.objects.filter(pk=image_id).update(status=status, updated_at=timezone.now())
        _sum_up_study(study)


def sum_up(statuses: Collection[str]) -> Status:
    """The status of a study whose images have ``statuses`` (one at least)."""
    found = set(statuses)
    if found == {Status.QUEUED}:
        return Status.QUEUED
    if found & {Status.QUEUED, Status.RUNNING}:
        return Status.RUNNING
    return next(
        status for status in (Status.FAILED, Status.DONE, Status.REFUSED) if status in found
    )


def remove_orphans() -> None:
    """Remove stored files that no row points at, and say in the audit how many went."""
    sweep = storage.remove_orphans()
    if sweep.removed:
        record("storage.sweep", detail={"checked": sweep.checked, "removed": sweep.removed})


def _lock_study(study_id: UUID) -> Study:
    """Hold the study's row until the transaction ends.

    SQLite has no row locks and needs none: its transactions begin ``IMMEDIATE``.
    """
    return Study.objects.select_for_update().get(pk=study_id)


def _sum_up_study(study: Study) -> None:
    statuses = Image.objects.filter(study=study).values_list("status", flat=True)
    before = study.status
    study.status = sum_up(list(statuses))
    study.save(update_fields=["status", "updated_at"])
    study_summed_up.send(sender=Study, study=study, before=before)
