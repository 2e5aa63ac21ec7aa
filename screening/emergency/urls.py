"""Addresses of emergency access."""

from __future__ import annotations

from django.urls import path

from screening.emergency import review_views, views

app_name = "emergency"

urlpatterns = [
    path("emergency/", views.open_record, name="open"),
    path("emergency/<uuid:access_id>/end/", views.end, name="end"),
    path("site/emergencies/", review_views.reviews, name="reviews"),
    path("site/emergencies/rule/", review_views.rule, name="rule"),
    path("site/emergencies/<uuid:access_id>/review/", review_views.review, name="review"),
]
