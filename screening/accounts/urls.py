"""Addresses of signing in, and of managing people."""

from __future__ import annotations

from django.urls import path

from screening.accounts import (
    admin_views,
    confirm_views,
    device_views,
    preference_views,
    second_factor_admin_views,
    second_factor_views,
    session_views,
    sign_on_views,
    token_views,
    views,
)

app_name = "accounts"

urlpatterns = [
    path("login/", views.log_in, name="login"),
    path("login/second-factor/", confirm_views.prove_second_factor, name="prove_second_factor"),
    path("logout/", views.log_out, name="logout"),
    path("sign-on/", sign_on_views.sign_on, name="sign_on"),
    path("sign-on/callback/", sign_on_views.sign_on_callback, name="sign_on_callback"),
    path("account/", preference_views.account, name="account"),
    path("site/settings/", preference_views.site_settings, name="site_settings"),
    path(
        "site/settings/second-factor/",
        second_factor_admin_views.set_roles,
        name="second_factor_roles",
    ),
    path("account/password/", views.change_password, name="password_change"),
    path(
        "account/second-factor/",
        second_factor_views.second_factors_page,
        name="second_factors",
    ),
    path("account/second-factor/app/", second_factor_views.add_app, name="add_app"),
    path("account/second-factor/key/", second_factor_views.add_key, name="add_key"),
    path("account/second-factor/codes/", second_factor_views.renew_codes, name="renew_codes"),
    path(
        "account/second-factor/<int:factor_id>/name/",
        second_factor_views.rename_factor,
        name="rename_factor",
    ),
    path(
        "account/second-factor/<int:factor_id>/remove/",
        second_factor_views.remove_factor,
        name="remove_factor",
    ),
    path("account/confirm/", confirm_views.confirm_identity, name="confirm_identity"),
    path("account/sessions/", session_views.own_sessions, name="sessions"),
    path("account/sessions/end-others/", session_views.end_others, name="end_other_sessions"),
    path("account/sessions/<uuid:handle>/end/", session_views.end_session, name="end_session"),
    path("account/session/", session_views.session_state, name="session_state"),
    path("account/session/renew/", session_views.renew_session, name="renew_session"),
    path(
        "users/<uuid:membership_id>/end-sessions/",
        session_views.end_of_member,
        name="membership_end_sessions",
    ),
    path("account/tokens/", token_views.own_tokens, name="tokens"),
    path("account/tokens/<uuid:token_id>/revoke/", token_views.revoke_own, name="revoke_token"),
    path("site/tokens/", token_views.site_tokens, name="site_tokens"),
    path(
        "site/tokens/<uuid:token_id>/revoke/",
        token_views.revoke_at_site,
        name="revoke_site_token",
    ),
    path("site/devices/", device_views.device_list, name="devices"),
    path("site/devices/<uuid:device_id>/token/", device_views.device_token, name="device_token"),
    path(
        "site/devices/<uuid:device_id>/deactivate/",
        device_views.deactivate_device,
        name="deactivate_device",
    ),
    path(
        "site/devices/<uuid:device_id>/reactivate/",
        device_views.reactivate_device,
        name="reactivate_device",
    ),
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
        "users/<uuid:membership_id>/reset-second-factor/",
        second_factor_admin_views.reset,
        name="membership_reset_second_factor",
    ),
    path(
        "invitations/<uuid:invitation_id>/revoke/",
        admin_views.revoke_invitation,
        name="revoke_invitation",
    ),
]
