"""How the API writes down studies, images and results."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from screening.inference.models import Label, Result
from screening.inference.selectors import job_of, latest_result
from screening.studies.models import Image, Status, Study


class ProbabilitiesSerializer(serializers.Serializer[Any]):
    """Calibrated; they sum to 1."""

    covid = serializers.FloatField(min_value=0, max_value=1)
    pneumonia = serializers.FloatField(min_value=0, max_value=1)
    normal = serializers.FloatField(min_value=0, max_value=1)


class ModelSerializer(serializers.Serializer[Any]):
    """The released model that answered."""

    name = serializers.CharField()
    version = serializers.CharField()


class EvidenceSerializer(serializers.Serializer[Any]):
    """How far an answer can be trusted.

    ``prediction_set`` holds the classes that can't be ruled out, at the stated ``coverage``, and
    ``uncertain`` says that it is not exactly one. ``operating_point`` is the threshold at which
    COVID-19 is called, with the sensitivity and specificity it had on the selection split; its
    ``origin`` says who chose it for the site and when, and is missing where it is the model's own.
    ``shortcut`` says what share of the evidence lies inside the lungs and whether the answer needs
    them; an ``unreliable`` answer does not rest on the lungs. ``caution`` is null or ``{code,
    message}``: ``cropped`` where a part of the lungs lies outside the picture, ``unfamiliar`` where
    the picture is unlike the films that the model has learnt from. ``lung_outline`` holds rings of
    points (x, y) around the lungs, as shares of the picture's width and height; older answers have
    none.
    """

    prediction_set = serializers.ListField(child=serializers.ChoiceField(choices=Label.choices))
    uncertain = serializers.BooleanField()
    coverage = serializers.FloatField()
    operating_point = serializers.DictField()
    shortcut = serializers.DictField()
    caution = serializers.DictField(allow_null=True)
    lung_outline = serializers.ListField(
        child=serializers.ListField(child=serializers.ListField(child=serializers.FloatField())),
        required=False,
    )


class ImageSerializer(serializers.Serializer[Image]):
    """One image and what the newest result says of it.

    ``label``, ``probabilities``, ``model``, ``milliseconds`` and ``heatmap`` are null until there
    is a result and while the study's answer is hidden, ``evidence`` also where the model carries
    none; ``code`` and ``message`` say why an image failed or was refused. The addresses take the
    same token as this answer.
    """

    id = serializers.UUIDField()
    name = serializers.CharField(source="original_name")
    status = serializers.ChoiceField(choices=Status.choices)
    format = serializers.CharField()
    width = serializers.IntegerField(help_text="pixels")
    height = serializers.IntegerField(help_text="pixels")
    label = serializers.SerializerMethodField()  # type: ignore[assignment]  # Field has a label too
    probabilities = serializers.SerializerMethodField()
    model = serializers.SerializerMethodField()
    milliseconds = serializers.SerializerMethodField(help_text="time in the model")
    evidence = serializers.SerializerMethodField(help_text="how far the answer can be trusted")
    heatmap = serializers.SerializerMethodField(help_text="Transparent PNG to lay over the display")
    display = serializers.SerializerMethodField(help_text="8-bit JPEG")
    thumbnail = serializers.SerializerMethodField(help_text="8-bit JPEG, 256 pixels")
    code = serializers.SerializerMethodField()
    message = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(choices=Label.choices, allow_null=True))
    def get_label(self, image: Image) -> str | None:
        result = self._result(image)
        return result.label if result else None

    @extend_schema_field(ProbabilitiesSerializer(allow_null=True))
    def get_probabilities(self, image: Image) -> dict[str, float] | None:
        result = self._result(image)
        return result.probabilities if result else None

    @extend_schema_field(ModelSerializer(allow_null=True))
    def get_model(self, image: Image) -> dict[str, str] | None:
        result = self._result(image)
        if result is None:
            return None
        return {"name": result.model_version.name, "version": result.model_version.version}

    def get_milliseconds(self, image: Image) -> float | None:
        result = self._result(image)
        return result.milliseconds if result else None

    @extend_schema_field(EvidenceSerializer(allow_null=True))
    def get_evidence(self, image: Image) -> dict[str, Any] | None:
        result = self._result(image)
        return result.evidence or None if result else None

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_heatmap(self, image: Image) -> str | None:
        return self._address("heatmap", image) if self._result(image) else None

    @extend_schema_field(serializers.URLField())
    def get_display(self, image: Image) -> str:
        return self._address("display", image)

    @extend_schema_field(serializers.URLField())
    def get_thumbnail(self, image: Image) -> str:
        return self._address("thumbnail", image)

    def get_code(self, image: Image) -> str | None:
        return _reason(image)[0]

    def get_message(self, image: Image) -> str | None:
        return _reason(image)[1]

    def _result(self, image: Image) -> Result | None:
        # Whoever makes a serializer has to say what is hidden from the caller; nobody may forget.
        hidden: frozenset[UUID] = self.context["hidden"]
        return None if image.study_id in hidden else latest_result(image)

    def _address(self, rendition: str, image: Image) -> str:
        address: str = reverse(
            f"api-image-{rendition}", args=(image.pk,), request=self.context.get("request")
        )
        return address


class StudySerializer(serializers.Serializer[Study]):
    """One study with its images.

    ``answer_hidden``: the site reads blind first, and the caller sees the AI's answer once their
    own first impression is recorded or a reading of the study is signed.
    """

    id = serializers.UUIDField()
    patient = serializers.UUIDField(source="patient_id")
    status = serializers.ChoiceField(choices=Status.choices)
    created_at = serializers.DateTimeField()
    answer_hidden = serializers.SerializerMethodField()
    images = ImageSerializer(many=True)

    def get_answer_hidden(self, study: Study) -> bool:
        return study.pk in self.context["hidden"]


class StudyUploadSerializer(serializers.Serializer[Any]):
    """A new study. ``id`` may be chosen by the sender: sending it all again then adds nothing.

    A DICOM file that names another patient than ``patient`` is refused as ``patient_mismatch``;
    ``confirm_patient`` says that somebody has compared the two and that it is this patient's all
    the same. That is written to the audit record.
    """

    patient = serializers.UUIDField(required=False, help_text="or `mrn`")
    mrn = serializers.CharField(required=False, help_text="record number, instead of `patient`")
    images = serializers.ListField(child=serializers.FileField(allow_empty_file=True))
    id = serializers.UUIDField(required=False)
    confirm_patient = serializers.BooleanField(default=False)


class DifferenceSerializer(serializers.Serializer[Any]):
    """A field in which the file names another patient."""

    field = serializers.ChoiceField(choices=("mrn", "name", "birth_date"))
    in_file = serializers.CharField()
    in_record = serializers.CharField()


class ReceivedImageSerializer(serializers.Serializer[Any]):
    """What became of one file: accepted (``id`` and ``status``) or refused (``code``, ``message``).

    A file that the study held before has all four, with the code ``duplicate``. One refused as
    ``patient_mismatch`` has ``differences``.
    """

    name = serializers.CharField()
    id = serializers.UUIDField(required=False)
    status = serializers.ChoiceField(choices=Status.choices, required=False)
    code = serializers.CharField(required=False)
    message = serializers.CharField(required=False)
    differences = DifferenceSerializer(many=True, required=False)


class ReceivedStudySerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.choices)
    images = ReceivedImageSerializer(many=True)


class RefusedStudySerializer(serializers.Serializer[Any]):
    """Nothing was accepted: ``code`` and ``message`` are those of the first file.

    ``images`` is there if there were files; else the request itself was wrong.
    """

    code = serializers.CharField()
    message = serializers.CharField()
    images = ReceivedImageSerializer(many=True, required=False)


def _reason(image: Image) -> tuple[str | None, str | None]:
    job = job_of(image)
    if job is None or job.status not in (Status.FAILED, Status.REFUSED):
        return None, None
    return job.code, job.message
