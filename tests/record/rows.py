"""Studies as the intake makes them, brought to whatever state a page is to show."""

from __future__ import annotations

import io
from functools import lru_cache
from uuid import UUID, uuid4

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image as Picture

from ml.phantom import phantom_png
from screening.accounts.models import User
from screening.inference.models import Job, Label, ModelVersion, Result
from screening.patients.models import Patient
from screening.studies.models import Image, Status, Study
from screening.studies.services import receive_image, set_image_status

SHARES = {
    Label.COVID: (0.82, 0.13, 0.05),
    Label.PNEUMONIA: (0.06, 0.91, 0.03),
    Label.NORMAL: (0.012, 0.026, 0.962),
}


@lru_cache(maxsize=64)
def phantom(seed: int = 1, size: tuple[int, int] = (256, 256)) -> bytes:
    return phantom_png(seed=seed, size=size)


def send_image(
    actor: User,
    patient: Patient,
    *,
    study_id: UUID | None = None,
    name: str = "chest.png",
    seed: int = 1,
) -> Image:
    """A phantom, taken in by the real intake; its job is queued."""
    received = receive_image(
        actor=actor,
        patient=patient,
        study_id=study_id or uuid4(),
        content=phantom(seed),
        original_name=name,
    )
    return received.image


def model_version() -> ModelVersion:
    return ModelVersion.objects.get_or_create(
        name="phantom-net",
        version="1.2.0",
        weights_sha256="0" * 64,
        defaults={"preprocessing_version": "1", "manifest": {}},
    )[0]


def evidence(
    *,
    possible: tuple[str, ...] = ("pneumonia",),
    verdict: str = "reliable",
    caution: str = "",
    caution_code: str = "cropped",
) -> dict[str, object]:
    """What an answer carries, in the form that the model writes it down."""
    sentences = {
        "reliable": "No shortcut was found: the answer needs the lungs.",
        "unreliable": "Unreliable: the answer stays when the lungs are covered.",
        "unknown": "The lungs could not be found.",
    }
    found = verdict != "unknown"
    return {
        "prediction_set": list(possible),
        "uncertain": len(possible) != 1,
        "coverage": 0.9,
        "operating_point": {
            "called": False,
            "threshold": 0.46,
            "sensitivity": 0.9,
            "specificity": 0.98,
        },
        "shortcut": {
            "verdict": verdict,
            "sentence": sentences[verdict],
            "evidence_in_lungs": 0.74 if found else None,
            "lung_area": 0.5 if found else None,
        },
        "caution": {"code": caution_code, "message": caution} if caution else None,
    }


def finish(
    image: Image,
    label: Label = Label.PNEUMONIA,
    shares: tuple[float, float, float] | None = None,
    carried: dict[str, object] | None = None,
) -> Result:
    """What a worker leaves behind: a result with a heatmap, and everything marked done."""
    covid, pneumonia, normal = shares or SHARES[label]
    name = default_storage.save(f"heatmaps/{uuid4()}.png", ContentFile(_heatmap()))
    result = Result.objects.create(
        image=image,
        model_version=model_version(),
        label=label,
        p_covid=covid,
        p_pneumonia=pneumonia,
        p_normal=normal,
        heatmap=name,
        milliseconds=41.6,
        runtime="litert",
        evidence=carried or {},
        receipt={},
    )
    _end(image, Status.DONE)
    return result


def run(image: Image) -> None:
    Job.objects.filter(image=image).update(status=Status.RUNNING, attempts=1)
    set_image_status(image.pk, Status.RUNNING)


def fail(image: Image, code: str = "model_missing", message: str = "") -> None:
    _end(image, Status.FAILED, code, message or "No model is installed.")


def refuse(image: Image, code: str = "not_a_radiograph", message: str = "") -> None:
    _end(image, Status.REFUSED, code, message or "This does not look like a frontal chest X-ray.")


def study_of(image: Image) -> Study:
    return Study.objects.get(pk=image.study_id)


def _end(image: Image, status: Status, code: str = "", message: str = "") -> None:
    Job.objects.filter(image=image).update(
        status=status, attempts=1, code=code, message=message, finished_at=timezone.now()
    )
    set_image_status(image.pk, status)


@lru_cache(maxsize=1)
def _heatmap() -> bytes:
    """A warm spot in the right lower zone, as a class activation map would show it."""
    y, x = np.mgrid[0:64, 0:64] / 63.0
    heat = np.exp(-(((x - 0.33) / 0.13) ** 2 + ((y - 0.62) / 0.15) ** 2))
    pixels = np.zeros((64, 64, 4), dtype=np.uint8)
    pixels[..., 0] = 255
    pixels[..., 1] = (190 * (1 - heat)).astype(np.uint8)
    pixels[..., 2] = 40
    pixels[..., 3] = (255 * heat).astype(np.uint8)
    out = io.BytesIO()
    Picture.fromarray(pixels, "RGBA").save(out, "PNG")
    return out.getvalue()
