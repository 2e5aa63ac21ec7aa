"""Addresses of intake and of image bytes."""

from __future__ import annotations

from django.urls import path

from screening.studies import diagnosis_views, pixel_views, views

app_name = "studies"

urlpatterns = [
    path("patients/<uuid:patient_id>/upload/", views.upload, name="upload"),
    path(
        "patients/<uuid:patient_id>/uploads/<uuid:study_id>/",
        views.upload_image,
        name="upload_image",
    ),
    path("images/<uuid:image_id>/display/", views.image_display, name="image_display"),
    path("images/<uuid:image_id>/thumbnail/", views.image_thumbnail, name="image_thumbnail"),
    path("images/<uuid:image_id>/original/", views.image_original, name="image_original"),
    path("images/<uuid:image_id>/pixels/", pixel_views.image_pixels, name="image_pixels"),
    path("studies/<uuid:study_id>/diagnosis/", diagnosis_views.diagnosis, name="diagnosis"),
    path(
        "studies/<uuid:study_id>/diagnosis/withdraw/",
        diagnosis_views.withdraw,
        name="withdraw_diagnosis",
    ),
    path("site/diagnoses/", diagnosis_views.import_diagnoses, name="import_diagnoses"),
]
