"""Addresses of signing in, and of managing people."""

from __future__ import annotations

from django.urls import path

from screening.accounts import admin_views, views

app_name = "accounts"

urlpatterns = [
    path("login/", views.log_in, name="login"),
    path("logout/", views.log_out, name="logout"),
    path("account/password/", views.change_password, name="password_change"),
    path("invitation/<str:token>/", views.accept_invitation, name="accept_invitation"),
    path(
        "reset/<str:uidb64>/<str:token>/",
        views.confirm_password_reset,
        name="password_reset_confirm",
    ),
    path("users/", admin_views.user_list, name="user_list"),
    path("users/invite/", admin_views.invite, name="invite"),
    path("users/<uuid:membership_id>/role/", admin_views.set_role, name="membership_role"),
    path(
        "users/<uuid:membership_id>/deactivate/",
        admin_views.deactivate,
        name="membership_deactivate",
    ),
    path(
        "users/<uuid:membership_id>/reactivate/",
        admin_views.reactivate,
        name="membership_reactivate",
    ),
    path(
        "users/<uuid:membership_id>/reset-password/",
        admin_views.reset_password,
        name="membership_reset_password",
    ),
    path(
        "invitations/<uuid:invitation_id>/revoke/",
        admin_views.revoke_invitation,
        name="revoke_invitation",
    ),
]
