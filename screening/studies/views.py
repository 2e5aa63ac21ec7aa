"""Uploading pages, and the bytes of images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import Any, cast
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from screening.accounts import policies
from screening.accounts.access import View, requires
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import InvalidInput, PortalError
from screening.patients.models import Patient
from screening.studies import gate, selectors, services
from screening.studies.identity import Difference, PatientMismatch
from screening.studies.names import clean_name
from screening.studies.serving import Rendition, serve_image
from screening.studies.uploads import dropped_files


def _answers_json(view: View) -> View:
    """Answer errors as ``{code, message}``: a script reads them, not a person."""

    @wraps(view)
    def answering(request: HttpRequest, **kwargs: UUID) -> HttpResponseBase:
        try:
            return view(request, **kwargs)
        except PortalError as error:
            body: dict[str, Any] = {"code": error.code, "message": error.message}
            if isinstance(error, PatientMismatch):
                body["differences"] = error.as_json()
            return JsonResponse(body, status=error.http_status)
        except Http404:
            body = {"code": "not_found", "message": "There is no such thing here."}
            return JsonResponse(body, status=404)

    return answering


@dataclass(frozen=True)
class Refusal:
    """A file of the form that was not taken in."""

    name: str
    error: PortalError

    @property
    def differences(self) -> list[Difference]:
        return self.error.differences if isinstance(self.error, PatientMismatch) else []


def _confirms(request: HttpRequest) -> bool:
    """Whether the person has ticked that a file which names somebody else is this patient's."""
    return request.POST.get("confirm_patient") in ("1", "on", "true")


def _patient(user: User, patient_id: UUID) -> Patient:
    patient = get_object_or_404(Patient.objects.visible_to(user), pk=patient_id)
    policies.require(user, Permission.UPLOAD_STUDIES, patient.site_id)
    return patient


@requires(Permission.UPLOAD_STUDIES)
@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest, patient_id: UUID) -> HttpResponse:
    """The upload page; its POST takes all files at once, for browsers without scripts."""
    user = cast(User, request.user)
    patient = _patient(user, patient_id)
    refused: list[Refusal] = []
    study_id = uuid4()
    if request.method == "POST":
        received, refused = _receive_all(request, user, patient, study_id)
        if received:
            for refusal in refused:
                messages.warning(request, f"{refusal.name}: {refusal.error.message}")
            return redirect("record:study", study_id)
    else:
        record("patient.view", patient, actor=user)
    context = {
        "patient": patient,
        "study_id": study_id,
        "refused": refused,
        "asks_for_patient": any(refusal.differences for refusal in refused),
        "limits": {
            "max_bytes": gate.LIMITS.max_bytes,
            "max_megabytes": gate.LIMITS.max_bytes // (1024 * 1024),
            "max_files": gate.MAX_IMAGES_PER_STUDY,
            "accept": "image/png,image/jpeg,application/dicom,.png,.jpg,.jpeg,.dcm,.dicom",
        },
    }
    return render(request, "studies/upload.html", context, status=422 if refused else 200)


def _receive_all(
    request: HttpRequest, user: User, patient: Patient, study_id: UUID
) -> tuple[int, list[Refusal]]:
    """Receive every file of the form; how many came in, and why the others did not."""
    received = 0
    refused: list[Refusal] = []

    def refuse(name: str, error: PortalError) -> None:
        refused.append(Refusal(name, error))

    files = request.FILES.getlist("images")
    confirmed = _confirms(request)
    for name in dropped_files(request, "images"):
        refuse(name, gate.too_large())
    for file in files:
        name = clean_name(file.name or "")
        try:
            services.receive_image(
                actor=user,
                patient=patient,
                study_id=study_id,
                content=file,
                original_name=name,
                confirm_patient=confirmed,
            )
        except gate.UploadRefused as error:
            refuse(name, error)
        else:
            received += 1
    if not files and not refused:
        refuse("", InvalidInput(_("Choose at least one file."), code="no_file"))
    return received, refused


@_answers_json
@requires(Permission.UPLOAD_STUDIES)
@require_POST
def upload_image(request: HttpRequest, patient_id: UUID, study_id: UUID) -> HttpResponse:
    """Take in one file (field ``image``) for the upload page's script."""
    user = cast(User, request.user)
    patient = _patient(user, patient_id)
    file = request.FILES.get("image")
    if dropped_files(request, "image"):
        raise gate.too_large()
    if not isinstance(file, UploadedFile):
        raise InvalidInput(_("Send one file in the field “image”."), code="no_file", field="image")
    received = services.receive_image(
        actor=user,
        patient=patient,
        study_id=study_id,
        content=file,
        original_name=file.name or "",
        confirm_patient=_confirms(request),
    )
    body = {
        "id": str(received.image.pk),
        "study": str(study_id),
        "status": received.image.status,
    }
    if received.duplicate:
        body |= {"code": "duplicate", "message": services.DUPLICATE_MESSAGE}
    return JsonResponse(body, status=200 if received.duplicate else 201)


@requires(Permission.VIEW_STUDIES)
@require_GET
def image_display(request: HttpRequest, image_id: UUID) -> HttpResponseBase:
    return _image(request, image_id, Rendition.DISPLAY)


@requires(Permission.VIEW_STUDIES)
@require_GET
def image_thumbnail(request: HttpRequest, image_id: UUID) -> HttpResponseBase:
    return _image(request, image_id, Rendition.THUMBNAIL)


@requires(Permission.VIEW_STUDIES)
@require_GET
def image_original(request: HttpRequest, image_id: UUID) -> HttpResponseBase:
    return _image(request, image_id, Rendition.ORIGINAL)


def _image(request: HttpRequest, image_id: UUID, rendition: Rendition) -> HttpResponseBase:
    find = selectors.get_image_to_take if rendition is Rendition.ORIGINAL else selectors.get_image
    return serve_image(find(cast(User, request.user), image_id), rendition)
