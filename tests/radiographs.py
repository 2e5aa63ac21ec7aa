"""Pictures for tests: phantoms, each drawn once, and a way to take one in."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from uuid import UUID, uuid4

from django.core.files.uploadedfile import SimpleUploadedFile

from ml.phantom import phantom_dicom, phantom_jpeg, phantom_png
from screening.accounts.models import User
from screening.patients.models import Patient
from screening.studies.models import Image
from screening.studies.services import receive_image
from tests.ml.dicoms import nameless


@cache
def png(seed: int = 1, side: int = 320) -> bytes:
    return phantom_png(seed, "normal", size=(side, side))


@cache
def jpeg(seed: int = 1, side: int = 320) -> bytes:
    return phantom_jpeg(seed, "normal", size=(side, side))


@cache
def dicom(seed: int = 1, side: int = 320) -> bytes:
    """A film that names no patient, so that it may be anybody's."""
    return nameless(phantom_dicom(seed, "normal", size=(side, side)))


def upload_of(data: bytes, name: str = "chest.png") -> SimpleUploadedFile:
    """A file as a browser's form sends it."""
    return SimpleUploadedFile(name, data, content_type="application/octet-stream")


def receive(
    actor: User,
    patient: Patient,
    data: bytes | None = None,
    *,
    study_id: UUID | None = None,
    name: str = "chest.png",
) -> Image:
    """Take a picture in as every entrance does."""
    return receive_image(
        actor=actor,
        patient=patient,
        study_id=study_id or uuid4(),
        content=png() if data is None else data,
        original_name=name,
    ).image


def stored_files(media_root: Path) -> list[str]:
    """Every file in private storage, drafts too."""
    return sorted(
        str(path.relative_to(media_root)) for path in media_root.rglob("*") if path.is_file()
    )
