"""Addresses of the worklist and of notifications."""

from __future__ import annotations

from django.urls import path

from screening.worklist import notice_views, views

app_name = "worklist"

urlpatterns = [
    path("worklist/", views.worklist, name="list"),
    path("worklist/rows/", views.rows, name="rows"),
    path("worklist/next/", views.next_study, name="next"),
    path("worklist/rule/", views.rule, name="rule"),
    path("worklist/views/", views.save_view, name="save_view"),
    path("worklist/views/<uuid:view_id>/delete/", views.delete_view, name="delete_view"),
    path("worklist/studies/<uuid:study_id>/claim/", views.claim, name="claim"),
    path("worklist/studies/<uuid:study_id>/release/", views.release, name="release"),
    path("worklist/studies/<uuid:study_id>/assign/", views.assign, name="assign"),
    path("worklist/studies/<uuid:study_id>/retry/", views.retry, name="retry"),
    path("worklist/studies/<uuid:study_id>/presence/", views.presence, name="presence"),
    path("notifications/", notice_views.notifications, name="notifications"),
    path("notifications/read/", notice_views.mark_read, name="mark_read"),
    path("notifications/mail/", notice_views.set_mail, name="set_mail"),
    path("notifications/bell/", notice_views.bell, name="bell"),
]
