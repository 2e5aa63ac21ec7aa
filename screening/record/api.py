"""Studies over the API: send them, list them, ask what became of them, fetch the pictures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

from django.core.exceptions import TooManyFilesSent
from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import ListAPIView
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from screening.accounts import policies
from screening.accounts.api_permissions import may_be_shown, requires_permission
from screening.accounts.models import User
from screening.accounts.policies import Permission, sites_where
from screening.audit.services import record
from screening.core.errors import InvalidInput, PortalError
from screening.inference.models import Label
from screening.inference.selectors import (
    StudyRows,
    latest_result,
)
from screening.patients.models import MRN_LENGTH, Patient
from screening.patients.normalise import mrn_key, without_hidden_characters
from screening.reading.selectors import answers_hidden
from screening.record import services
from screening.record.api_serializers import (
    ReceivedStudySerializer,
    RefusedStudySerializer,
    StudySerializer,
    StudyUploadSerializer,
)
from screening.record.selectors import labelled, studies_for
from screening.studies import gate
from screening.studies.identity import PatientMismatch
from screening.studies.models import OPEN_STATUSES, Status, Study
from screening.studies.names import clean_name
from screening.studies.selectors import get_image, get_image_to_take
from screening.studies.services import DUPLICATE_MESSAGE, receive_image
from screening.studies.serving import Rendition, serve_image
from screening.studies.uploads import dropped_files

MAY_VIEW = requires_permission(Permission.VIEW_STUDIES)


def _user(request: Request) -> User:
    return cast(User, request.user)


class StudyPagination(CursorPagination):
    """Newest first; a page deep in the past costs no more than the first."""

    page_size = 50
    ordering = ("-created_at", "-id")

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Also look at the moment inside, which DRF hands to the database as it is."""
        try:
            cursor = super().decode_cursor(request)
            if cursor is not None and cursor.position is not None:
                datetime.fromisoformat(str(cursor.position)).astimezone(UTC)
        except (NotFound, ValueError, OverflowError):
            raise InvalidInput(
                "This page of the list is gone. Start from the first.", code="bad_cursor"
            ) from None
        return cursor


class StudyFilter(serializers.Serializer[Any]):
    """What may be asked of the list; a value that does not exist is an error, not an empty list."""

    status = serializers.ChoiceField(choices=Status.choices, required=False)
    label = serializers.ChoiceField(  # type: ignore[assignment]  # Field has a label too
        choices=Label.choices, required=False
    )
    patient = serializers.UUIDField(required=False)


class StudyList(ListAPIView[Study]):
    """The studies of the caller's sites."""

    permission_classes = (
        requires_permission(Permission.VIEW_STUDIES, to_write=Permission.UPLOAD_STUDIES),
    )
    parser_classes = (MultiPartParser,)
    pagination_class = StudyPagination
    serializer_class = StudySerializer
    queryset = Study.objects.none()
    _found: dict[str, Any] = {}

    def get_queryset(self) -> StudyRows:
        form = StudyFilter(data=self.request.query_params.dict())
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        studies = studies_for(_user(self.request)).filter(
            site__in=sites_where(_user(self.request), Permission.VIEW_STUDIES)
        )
        if "status" in wanted:
            studies = studies.filter(status=wanted["status"])
        if "label" in wanted:
            studies = labelled(_user(self.request), studies, wanted["label"])
        if "patient" in wanted:
            studies = studies.filter(patient=wanted["patient"])
        return studies

    def paginate_queryset(self, queryset: Any) -> Any:
        """Also find out which answers on this page are hidden from the caller, in one go."""
        page = super().paginate_queryset(queryset)
        self._found = {"hidden": answers_hidden(_user(self.request), page or ())}
        return page

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), **self._found}

    @extend_schema(
        summary="List studies, newest first",
        description=(
            "Studies whose answer is hidden from the caller are left out where `label` is given."
        ),
        parameters=[
            OpenApiParameter("status", OpenApiTypes.STR, enum=Status.values),
            OpenApiParameter("label", OpenApiTypes.STR, enum=Label.values),
            OpenApiParameter("patient", OpenApiTypes.UUID),
        ],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().get(request, *args, **kwargs)
        services.note_list_view(
            actor=_user(request), page="api", cards=len(response.data["results"])
        )
        return response

    @extend_schema(
        summary="Send a study of one or more images",
        request={"multipart/form-data": StudyUploadSerializer},
        responses={
            201: ReceivedStudySerializer,
            422: OpenApiResponse(RefusedStudySerializer, "No image was accepted."),
        },
    )
    def post(self, request: Request) -> Response:
        user = _user(request)
        patient, study_id, confirmed = self._addressed(request, user)
        is_reader = may_be_shown(request, Permission.VIEW_PATIENTS)
        images: list[dict[str, Any]] = [
            _refusal(clean_name(name), gate.too_large())
            for name in dropped_files(request._request, "images")
        ]
        for file in request.FILES.getlist("images"):
            name = clean_name(file.name or "")
            try:
                received = receive_image(
                    actor=user,
                    patient=patient,
                    study_id=study_id,
                    content=file,
                    original_name=name,
                    # Whoever is not shown the difference cannot have judged it.
                    confirm_patient=confirmed and is_reader,
                )
            except gate.UploadRefused as refusal:
                images.append(_refusal(name, refusal, is_reader=is_reader))
                continue
            answer = {"id": received.image.pk, "name": name, "status": received.image.status}
            if received.duplicate:
                answer |= {"code": "duplicate", "message": DUPLICATE_MESSAGE}
            images.append(answer)
        if not images:
            raise InvalidInput(
                "Send one file or more in the field “images”.", code="no_file", field="images"
            )
        study = Study.objects.filter(pk=study_id, patient=patient).first()
        if study is None:
            first = {key: images[0][key] for key in ("code", "message")}
            return Response({**first, "images": images}, status=422)
        return Response({"id": study.pk, "status": study.status, "images": images}, status=201)

    def _addressed(self, request: Request, user: User) -> tuple[Patient, UUID, bool]:
        """Whose study it is to be, its key, and whether files that name others are confirmed."""
        try:
            form = AddressForm(data=request.data)
        except TooManyFilesSent:
            raise gate.too_many_files() from None
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        patient = _find_patient(user, wanted)
        policies.require(user, Permission.UPLOAD_STUDIES, patient.site_id)
        return patient, wanted.get("id") or uuid4(), wanted["confirm_patient"]


def _find_patient(user: User, wanted: dict[str, Any]) -> Patient:
    """Whoever is meant, by key or by record number. Raises ``Http404``, ``InvalidInput``."""
    found = Patient.objects.addressable_by(user)
    if "patient" in wanted:
        return get_object_or_404(found, pk=wanted["patient"])
    named = list(found.filter(mrn_key=mrn_key(without_hidden_characters(wanted["mrn"])))[:2])
    if len(named) > 1:
        raise InvalidInput(
            "Two of your sites have this MRN: name the patient by “patient”.",
            code="ambiguous_mrn",
            field="mrn",
        )
    if not named:
        raise Http404
    return named[0]


class AddressForm(serializers.Serializer[Any]):
    """The part of an upload that is not files."""

    patient = serializers.UUIDField(required=False)
    mrn = serializers.CharField(required=False, max_length=MRN_LENGTH)
    id = serializers.UUIDField(required=False)
    confirm_patient = serializers.BooleanField(default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("patient" in attrs) == ("mrn" in attrs):
            raise serializers.ValidationError(
                {"patient": ["Name the patient: by “patient” or by “mrn”, not by both."]}
            )
        return attrs


def _refusal(name: str, error: PortalError, *, is_reader: bool = False) -> dict[str, Any]:
    """Why a file was not taken; what is known of the patient is told only to who may read it."""
    refusal: dict[str, Any] = {"name": name, "code": error.code, "message": error.message}
    if isinstance(error, PatientMismatch) and is_reader:
        refusal["differences"] = error.as_json()
    return refusal


class StudyDetail(APIView):
    """One study."""

    permission_classes = (MAY_VIEW,)

    @extend_schema(summary="What became of a study", responses={200: StudySerializer})
    def get(self, request: Request, study_id: UUID) -> Response:
        study = _open_study(_user(request), study_id)
        hidden = answers_hidden(_user(request), [study])
        context = {"request": request, "hidden": hidden}
        return Response(StudySerializer(study, context=context).data)


def _open_study(user: User, study_id: UUID) -> Study:
    """The study, with a line in the audit as soon as there is a finding to be seen.

    A program that waits for its result asks many times a second; what it is told until then
    is that it has to wait.
    """
    study = studies_for(user).filter(pk=study_id).first()
    if study is None:
        raise Http404
    if study.status not in OPEN_STATUSES or any(map(latest_result, study.images.all())):
        record("study.view", study, actor=user)
    return study


class PictureRenderer(BaseRenderer):
    """Lets a caller ask for pictures (``Accept: image/*``); the bytes are streamed as they are."""

    media_type = "image/*"
    format = "picture"

    def render(self, data: Any, *_: Any) -> Any:
        return data


def _picture(*content_types: str) -> dict[tuple[int, str], Any]:
    return {(200, content_type): OpenApiTypes.BINARY for content_type in content_types}


class PictureView(APIView):
    """The bytes of an image for whoever may see it."""

    permission_classes = (MAY_VIEW,)
    # JSON first: errors are written as JSON whatever was asked for.
    renderer_classes = (JSONRenderer, PictureRenderer)


class ImageDisplay(PictureView):
    @extend_schema(summary="The picture as pages show it", responses=_picture("image/jpeg"))
    def get(self, request: Request, image_id: UUID) -> FileResponse:
        return serve_image(get_image(_user(request), image_id), Rendition.DISPLAY)


class ImageThumbnail(PictureView):
    @extend_schema(summary="The picture in small", responses=_picture("image/jpeg"))
    def get(self, request: Request, image_id: UUID) -> FileResponse:
        return serve_image(get_image(_user(request), image_id), Rendition.THUMBNAIL)


class ImageOriginal(PictureView):
    @extend_schema(
        summary="The file as it was sent", responses=_picture(*gate.CONTENT_TYPES.values())
    )
    def get(self, request: Request, image_id: UUID) -> FileResponse:
        return serve_image(get_image_to_take(_user(request), image_id), Rendition.ORIGINAL)


class ImageHeatmap(PictureView):
    @extend_schema(
        summary="What in the picture speaks for the class", responses=_picture("image/png")
    )
    def get(self, request: Request, image_id: UUID) -> FileResponse:
        return services.open_heatmap(actor=_user(request), image_id=image_id)
