"""Addresses of readings, second looks, the figures of readers and the reading policy."""

from __future__ import annotations

from django.urls import path

from screening.reading import views

app_name = "reading"

urlpatterns = [
    path("studies/<uuid:study_id>/reading/draft/", views.save_draft, name="draft"),
    path(
        "studies/<uuid:study_id>/reading/first-impression/",
        views.first_impression,
        name="first_impression",
    ),
    path("studies/<uuid:study_id>/reading/sign/", views.sign, name="sign"),
    path("readings/<uuid:reading_id>/addenda/", views.addendum, name="addendum"),
    path("readings/second-looks/", views.second_looks, name="second_looks"),
    path("readings/second-looks/<uuid:discrepancy_id>/", views.resolve, name="resolve"),
    path("readings/figures/", views.figures, name="figures"),
    path("readings/figures.csv", views.figures_csv, name="figures_csv"),
    path("site/reading/", views.policy, name="policy"),
]
