"""Uploading pages, and the bytes of images."""

from __future__ import annotations

from functools import wraps
from typing import cast
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from screening.accounts import policies
from screening.accounts.access import View, requires
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.core.errors import InvalidInput, PortalError
from screening.patients.models import Patient
from screening.studies import gate, selectors, services
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
            body = {"code": error.code, "message": error.message}
            return JsonResponse(body, status=error.http_status)
        except Http404:
            body = {"code": "not_found", "message": "There is no such thing here."}
            return JsonResponse(body, status=404)

    return answering


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
    refused: list[dict[str, str]] = []
    study_id = uuid4()
    if request.method == "POST":
        received, refused = _receive_all(request, user, patient, study_id)
        if received:
            for refusal in refused:
                messages.warning(request, f"{refusal['name']}: {refusal['message']}")
            return redirect("reading:study", study_id)
    context = {
        "patient": patient,
        "study_id": study_id,
        "refused": refused,
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
) -> tuple[int, list[dict[str, str]]]:
    """Receive every file of the form; how many came in, and why the others did not."""
    received = 0
    refused: list[dict[str, str]] = []

    def refuse(name: str, error: PortalError) -> None:
        refused.append({"name": name, "code": error.code, "message": error.message})

    files = request.FILES.getlist("images")
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
            )
        except gate.UploadRefused as error:
            refuse(name, error)
        else:
            received += 1
    if not files and not refused:
        refuse("", InvalidInput("Choose at least one file.", code="no_file"))
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
        raise InvalidInput("Send one file in the field “image”.", code="no_file", field="image")
    received = services.receive_image(
        actor=user,
        patient=patient,
        study_id=study_id,
        content=file,
        original_name=file.name or "",
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
    return serve_image(selectors.get_image(cast(User, request.user), image_id), rendition)
