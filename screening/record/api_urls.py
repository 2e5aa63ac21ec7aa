"""Addresses of studies and pictures under ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from screening.record import api, upload_api

urlpatterns = [
    path("studies/", api.StudyList.as_view(), name="api-studies"),
    path("studies/<uuid:study_id>/", api.StudyDetail.as_view(), name="api-study"),
    path("uploads/<uuid:study_id>/", upload_api.UploadState.as_view(), name="api-upload"),
    path("images/<uuid:image_id>/display/", api.ImageDisplay.as_view(), name="api-image-display"),
    path(
        "images/<uuid:image_id>/thumbnail/",
        api.ImageThumbnail.as_view(),
        name="api-image-thumbnail",
    ),
    path(
        "images/<uuid:image_id>/original/", api.ImageOriginal.as_view(), name="api-image-original"
    ),
    path("images/<uuid:image_id>/heatmap/", api.ImageHeatmap.as_view(), name="api-image-heatmap"),
]
