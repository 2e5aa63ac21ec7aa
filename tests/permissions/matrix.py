"""Who may do what: one row for each address and method, one column for each person.

Alice (clinician A) and Adam (admin A) work at North; every object named in an address belongs to
North. Bob (clinician B) and Berta (admin B) work at South, so for them it does not exist. Dora
worked at North once; anonymous people never did.

A new address needs a row here, or ``test_matrix.py`` fails. To add one: the route as the
URLconf spells it, the method, and what each of these six gets. ``LOGIN`` is a redirect to the
sign-in page, ``DONE`` a redirect elsewhere; numbers are HTTP statuses.

Further people (``tests/permissions/further.py``) are described by one sentence each that says
what they get on any row; a row that is an exception says so: ``but={"both_sites": 403}``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from ml.phantom import phantom_png
from screening.inference.packages import default_package

LOGIN = "sign-in page"
DONE = "redirect"

PERSONAS = ("anonymous", "clinician_a", "admin_a", "clinician_b", "admin_b", "deactivated")

Outcome = int | str


@dataclass(frozen=True)
class Row:
    """``data`` is what is sent; ``objects`` replaces what a name in the route stands for.

    ``but`` holds what a further person gets against the sentence that describes them.
    """

    route: str
    method: str
    expected: dict[str, Outcome]
    data: Callable[[], dict[str, Any]] = dict
    json: bool = False
    objects: dict[str, str] = field(default_factory=dict)
    but: dict[str, Outcome] = field(default_factory=dict)

    @property
    def is_api(self) -> bool:
        return self.route.startswith("api/")

    @property
    def names_an_object(self) -> bool:
        return "<" in self.route

    def __str__(self) -> str:
        return f"{self.method} /{self.route}"


def row(route: str, method: str, *expected: Outcome, **more: Any) -> Row:
    return Row(route, method, dict(zip(PERSONAS, expected, strict=True)), **more)


def _xray() -> SimpleUploadedFile:
    return SimpleUploadedFile("chest.png", phantom_png(seed=5, size=(256, 256)), "image/png")


def _patient() -> dict[str, Any]:
    return {"mrn": "M-1", "family_name": "Matrix", "given_name": "", "birth_date": "", "sex": ""}


def _diagnosis() -> dict[str, Any]:
    return {"label": "covid", "basis": "rt_pcr", "date": "2026-01-01", "note": ""}


def _version() -> dict[str, Any]:
    return {"version": default_package().fingerprint}


def _promotion() -> dict[str, Any]:
    """Keeping the default: the one decision that needs no second version."""
    said = {"reason": "We stay with what we have tested.", "reviewed": "on"}
    return {**_version(), **said, "seen": f"0.{default_package().fingerprint}"}


def _account() -> dict[str, Any]:
    secret = "lantern-over-quiet-water-7"
    names = {"username": "newcomer", "first_name": "New", "last_name": "Comer"}
    return {**names, "password1": secret, "password2": secret}


# Pages that anybody may open, spelt out a second time: making one public takes two changes.
PUBLIC = {
    "healthz",
    "readyz",
    "robots.txt",
    ".well-known/security.txt",
    "sign-on/",
    "sign-on/callback/",
    "login/",
    "login/second-factor/",
    "invitation/<str:token>/",
    "verify/",
    "verify/<str:code>/",
    "reset/<str:uidb64>/<str:token>/",
    "api/v1/auth/token/",
}

NO = LOGIN  # what nobody gets without signing in

#         anonymous  clinician_a  admin_a  clinician_b  admin_b  deactivated
ROWS = [
    row("healthz", "GET", 200, 200, 200, 200, 200, NO),
    row("readyz", "GET", 200, 200, 200, 200, 200, NO),
    row("robots.txt", "GET", 200, 200, 200, 200, 200, NO),
    # Where nobody was named whom to tell.
    row(".well-known/security.txt", "GET", 404, 404, 404, 404, 404, NO),
    # --- accounts
    row("login/", "GET", 200, DONE, DONE, DONE, DONE, NO),
    row("login/", "POST", 200, DONE, DONE, DONE, DONE, NO),
    row("login/second-factor/", "GET", NO, DONE, DONE, DONE, DONE, NO),
    row("login/second-factor/", "POST", NO, DONE, DONE, DONE, DONE, NO),
    row("logout/", "POST", NO, NO, NO, NO, NO, NO),
    row("account/password/", "GET", NO, 200, 200, 200, 200, NO),
    row("account/password/", "POST", NO, 200, 200, 200, 200, NO),
    row("invitation/<str:token>/", "GET", 200, 200, 200, 200, 200, NO),
    row("invitation/<str:token>/", "POST", NO, 409, 409, DONE, DONE, NO, data=_account),
    # The link is Alice's, and died when she signed in without it.
    row(
        "reset/<str:uidb64>/<str:token>/",
        "GET",
        *(DONE, 200, DONE, DONE, DONE, NO),
        but={"both_sites": DONE},
    ),
    row("account/", "GET", NO, 200, 200, 200, 200, NO),
    row("account/", "POST", NO, DONE, DONE, DONE, DONE, NO, data=lambda: {"time_zone": "UTC"}),
    row("account/confirm/", "GET", NO, 200, 200, 200, 200, NO),
    row("account/confirm/", "POST", NO, 200, 200, 200, 200, NO),
    row("account/second-factor/", "GET", NO, 200, 200, 200, 200, NO),
    row("account/second-factor/app/", "GET", NO, 200, 200, 200, 200, NO),
    row("account/second-factor/app/", "POST", NO, 200, 200, 200, 200, NO),
    row("account/second-factor/key/", "GET", NO, 200, 200, 200, 200, NO),
    row("account/second-factor/key/", "POST", NO, 200, 200, 200, 200, NO),
    # Bob has no second factor that recovery codes could stand in for.
    row("account/second-factor/codes/", "POST", NO, 200, 200, 409, 200, NO),
    # The factor is Alice's: not even her administrator has it.
    row(
        "account/second-factor/<int:factor_id>/name/",
        "POST",
        *(NO, DONE, 404, 404, 404, NO),
        data=lambda: {"name": "mine"},
        but={"both_sites": 404},
    ),
    row(
        "account/second-factor/<int:factor_id>/remove/",
        "POST",
        *(NO, DONE, 404, 404, 404, NO),
        but={"both_sites": 404},
    ),
    row("site/settings/second-factor/", "POST", NO, 403, DONE, 403, DONE, NO),
    row("site/settings/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "site/settings/",
        "POST",
        *(NO, 403, DONE, 403, DONE, NO),
        data=lambda: {"time_zone": "Europe/Berlin", "idle_minutes": "10"},
    ),
    # No provider is configured; what one does is in tests/accounts/test_sign_on.py.
    row("sign-on/", "GET", 404, 404, 404, 404, 404, NO),
    row("sign-on/callback/", "GET", 404, 404, 404, 404, 404, NO),
    row("account/sessions/", "GET", NO, 200, 200, 200, 200, NO),
    row("account/sessions/end-others/", "POST", NO, DONE, DONE, DONE, DONE, NO),
    # Alice's: not even her administrator sees it.
    row(
        "account/sessions/<uuid:handle>/end/",
        "POST",
        *(NO, DONE, 404, 404, 404, NO),
        but={"both_sites": 404},
    ),
    row("account/session/", "GET", NO, 200, 200, 200, 200, NO),
    row("account/session/renew/", "POST", NO, 200, 200, 200, 200, NO),
    row("users/<uuid:membership_id>/end-sessions/", "POST", NO, 403, DONE, 404, 404, NO),
    row("account/tokens/", "GET", NO, 200, 200, 200, 200, NO),
    row(
        "account/tokens/",
        "POST",
        *(NO, 200, 200, 200, 200, NO),
        data=lambda: {"name": "Export", "scopes": "read", "days": "30"},
    ),
    # The token is Alice's: not even her administrator revokes it here.
    row(
        "account/tokens/<uuid:token_id>/revoke/",
        "POST",
        *(NO, DONE, 404, 404, 404, NO),
        but={"both_sites": 404},
    ),
    row("site/tokens/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "site/tokens/<uuid:token_id>/revoke/",
        "POST",
        *(NO, 403, DONE, 404, 404, NO),
        objects={"token_id": "colleague_token_id"},
    ),
    row("site/devices/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "site/devices/",
        "POST",
        *(NO, 403, DONE, 403, DONE, NO),
        data=lambda: {"name": "Room 2"},
    ),
    row("site/devices/<uuid:device_id>/token/", "GET", NO, 403, 200, 404, 404, NO),
    row(
        "site/devices/<uuid:device_id>/token/",
        "POST",
        *(NO, 403, 200, 404, 404, NO),
        data=lambda: {"name": "Room 1", "days": "30"},
    ),
    row("site/devices/<uuid:device_id>/deactivate/", "POST", NO, 403, DONE, 404, 404, NO),
    row("site/devices/<uuid:device_id>/reactivate/", "POST", NO, 403, DONE, 404, 404, NO),
    row("users/", "GET", NO, 403, 200, 403, 200, NO),
    row("users/invite/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "users/invite/",
        "POST",
        *(NO, 403, 200, 403, 200, NO),
        data=lambda: {"email": "new@example.org", "role": "clinician"},
    ),
    row(
        "users/<uuid:membership_id>/role/",
        "POST",
        *(NO, 403, DONE, 404, 404, NO),
        data=lambda: {"role": "admin"},
    ),
    row("users/<uuid:membership_id>/deactivate/", "POST", NO, 403, DONE, 404, 404, NO),
    row("users/<uuid:membership_id>/reactivate/", "POST", NO, 403, DONE, 404, 404, NO),
    row("users/<uuid:membership_id>/reset-password/", "POST", NO, 403, 200, 404, 404, NO),
    row("users/<uuid:membership_id>/reset-second-factor/", "POST", NO, 403, DONE, 404, 404, NO),
    row("invitations/<uuid:invitation_id>/revoke/", "POST", NO, 403, DONE, 404, 404, NO),
    # --- de-identified exports: a colleague's does not exist, but for administrators
    row("exports/", "GET", NO, 200, 200, 200, 200, NO),
    row(
        "exports/new/",
        "GET",
        *(NO, 200, 200, 404, 404, NO),
        data=lambda: {"study": "{study_id}"},
        but={"in_emergency": 403},
    ),
    row(
        "exports/new/",
        "POST",
        *(NO, DONE, DONE, 404, 404, NO),
        data=lambda: {"study": "{study_id}", "dates": "remove", "names": "fresh"},
        but={"in_emergency": 403},
    ),
    row("exports/preview/<uuid:image_id>/", "GET", NO, 200, 200, 404, 404, NO),
    row("exports/<uuid:export_id>/", "GET", NO, 404, 200, 404, 404, NO),
    row("exports/<uuid:export_id>/state/", "GET", NO, 404, 200, 404, 404, NO),
    row("exports/<uuid:export_id>/looked/", "POST", NO, 404, DONE, 404, 404, NO),
    row("exports/<uuid:export_id>/remove/", "POST", NO, 404, DONE, 404, 404, NO),
    row("exports/<uuid:export_id>/file/", "GET", NO, 404, 200, 404, 404, NO),
    row("exports/<uuid:export_id>/who-is-who.csv", "GET", NO, 404, 200, 404, 404, NO),
    # --- holds, erasures, retention
    row("patients/<uuid:patient_id>/hold/", "GET", NO, 403, 200, 404, 404, NO),
    row(
        "patients/<uuid:patient_id>/hold/",
        "POST",
        *(NO, 403, DONE, 404, 404, NO),
        data=lambda: {"act": "place", "reason": "Court"},
    ),
    row("patients/<uuid:patient_id>/erase/", "GET", NO, 403, 200, 404, 404, NO),
    row(
        "patients/<uuid:patient_id>/erase/",
        "POST",
        *(NO, 403, 200, 404, 404, NO),
        # Another number than the patient's, for the files of an erasure would not come back.
        data=lambda: {"mrn": "N-1", "reason": "Asked for."},
    ),
    row("site/retention/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "site/retention/",
        "POST",
        *(NO, 403, DONE, 403, DONE, NO),
        data=lambda: {"act": "set", "years": "30"},
    ),
    row("site/retention/erasures/<uuid:erasure_id>.json", "GET", NO, 404, 200, 404, 404, NO),
    # --- patients
    row("patients/", "GET", NO, 200, 200, 200, 200, NO),
    row("patients/new/", "GET", NO, 200, 200, 200, 200, NO),
    # Whoever works at two sites is asked at which one.
    row(
        "patients/new/",
        "POST",
        *(NO, DONE, DONE, DONE, DONE, NO),
        data=_patient,
        but={"both_sites": 200},
    ),
    row("patients/<uuid:patient_id>/edit/", "GET", NO, 200, 200, 404, 404, NO),
    row("patients/<uuid:patient_id>/edit/", "POST", NO, DONE, DONE, 404, 404, NO, data=_patient),
    # --- studies
    row("patients/<uuid:patient_id>/upload/", "GET", NO, 200, 200, 404, 404, NO),
    row(
        "patients/<uuid:patient_id>/upload/",
        "POST",
        *(NO, DONE, DONE, 404, 404, NO),
        data=lambda: {"images": [_xray()]},
    ),
    row(
        "patients/<uuid:patient_id>/uploads/<uuid:study_id>/",
        "POST",
        *(NO, 201, 201, 404, 404, NO),
        data=lambda: {"image": _xray()},
    ),
    row("images/<uuid:image_id>/display/", "GET", NO, 200, 200, 404, 404, NO),
    row("images/<uuid:image_id>/thumbnail/", "GET", NO, 200, 200, 404, 404, NO),
    row("images/<uuid:image_id>/original/", "GET", NO, 200, 200, 404, 404, NO),
    row("images/<uuid:image_id>/pixels/", "GET", NO, 200, 200, 404, 404, NO),
    row("studies/<uuid:study_id>/diagnosis/", "GET", NO, 200, 200, 404, 404, NO),
    row(
        "studies/<uuid:study_id>/diagnosis/",
        "POST",
        *(NO, DONE, DONE, 404, 404, NO),
        data=_diagnosis,
    ),
    row("studies/<uuid:study_id>/diagnosis/withdraw/", "POST", NO, DONE, DONE, 404, 404, NO),
    row("site/diagnoses/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "site/diagnoses/",
        "POST",
        *(NO, 403, 200, 403, 200, NO),
        data=lambda: {"text": "study,diagnosis,basis,confirmed_on\nunknown,covid,other,2026-01-01"},
    ),
    # --- governance
    row("site/calibration/", "GET", NO, 403, 200, 403, 200, NO),
    row("site/operating-points/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "site/operating-points/", "POST", NO, 403, 409, 403, 409, NO, data=lambda: {"model": "gone"}
    ),
    row("api/v1/studies/<uuid:study_id>/diagnoses/", "GET", 401, 200, 200, 404, 404, 401),
    row(
        "api/v1/studies/<uuid:study_id>/diagnoses/",
        "POST",
        *(401, 201, 201, 404, 404, 401),
        data=_diagnosis,
        json=True,
    ),
    # --- inference
    row("images/<uuid:image_id>/heatmap/", "GET", NO, 200, 200, 404, 404, NO),
    row(
        "images/<uuid:image_id>/retry/",
        "POST",
        *(NO, DONE, DONE, 404, 404, NO),
        objects={"image_id": "failed_image_id"},
    ),
    # --- worklist
    row("worklist/", "GET", NO, 200, 200, 200, 200, NO),
    row("worklist/rows/", "GET", NO, 200, 200, 200, 200, NO),
    row("worklist/next/", "POST", NO, DONE, DONE, DONE, DONE, NO),
    row("worklist/rule/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "worklist/rule/",
        "POST",
        *(NO, 403, DONE, 403, DONE, NO),
        data=lambda: {"order": "flags_first", "cap_minutes": "30", "idle_minutes": "10"},
    ),
    row("worklist/views/", "POST", NO, DONE, DONE, DONE, DONE, NO, data=lambda: {"name": "Mine"}),
    # The view is Alice's: not even her administrator has it.
    row(
        "worklist/views/<uuid:view_id>/delete/",
        "POST",
        *(NO, DONE, 404, 404, 404, NO),
        but={"both_sites": 404},
    ),
    row("worklist/studies/<uuid:study_id>/claim/", "POST", NO, DONE, DONE, 404, 404, NO),
    row("worklist/studies/<uuid:study_id>/release/", "POST", NO, DONE, DONE, 404, 404, NO),
    row("worklist/studies/<uuid:study_id>/assign/", "POST", NO, DONE, DONE, 404, 404, NO),
    row("worklist/studies/<uuid:study_id>/retry/", "POST", NO, DONE, DONE, 404, 404, NO),
    row("worklist/studies/<uuid:study_id>/presence/", "POST", NO, 200, 200, 404, 404, NO),
    row("notifications/", "GET", NO, 200, 200, 200, 200, NO),
    row("notifications/read/", "POST", NO, DONE, DONE, DONE, DONE, NO),
    row("notifications/mail/", "POST", NO, DONE, DONE, DONE, DONE, NO),
    row("notifications/bell/", "GET", NO, 200, 200, 200, 200, NO),
    row("api/v1/worklist/", "GET", 401, 200, 200, 200, 200, 401),
    row(
        "api/v1/worklist/<uuid:study_id>/claim/",
        "POST",
        *(401, 200, 200, 404, 404, 401),
        but={"in_emergency": 404},
    ),
    row(
        "api/v1/worklist/<uuid:study_id>/claim/",
        "DELETE",
        *(401, 200, 200, 404, 404, 401),
        but={"in_emergency": 404},
    ),
    # --- emergency access: Willa of West has opened a record of North
    row("emergency/", "GET", NO, 200, 200, 200, 200, NO),
    row("emergency/", "POST", NO, 200, 200, 200, 200, NO),
    row(
        "emergency/<uuid:access_id>/end/",
        "POST",
        *(NO, 404, DONE, 404, 404, NO),
        but={"in_emergency": DONE},
    ),
    row("site/emergencies/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "site/emergencies/rule/",
        "POST",
        *(NO, 403, DONE, 403, DONE, NO),
        data=lambda: {"may_open": "admins"},
    ),
    row(
        "site/emergencies/<uuid:access_id>/review/",
        "POST",
        *(NO, 404, DONE, 404, 404, NO),
        data=lambda: {"site": "{emergency_site_id}", "remark": "In order."},
        but={"in_emergency": 403},
    ),
    # --- reading
    row("", "GET", NO, 200, 200, 200, 200, NO),
    row("patients/<uuid:patient_id>/", "GET", NO, 200, 200, 404, 404, NO),
    row("studies/", "GET", NO, 200, 200, 200, 200, NO),
    row("studies/<uuid:study_id>/", "GET", NO, 200, 200, 404, 404, NO),
    row("studies/<uuid:study_id>/state/", "GET", NO, 200, 200, 404, 404, NO),
    row(
        "studies/<uuid:study_id>/reading/draft/",
        "POST",
        *(NO, 200, 200, 404, 404, NO),
        data=lambda: {"version": "0", "text": "Opacity."},
    ),
    # The answer is visible, so there is no first impression to record.
    row(
        "studies/<uuid:study_id>/reading/first-impression/",
        "POST",
        *(NO, 409, 409, 404, 404, NO),
        data=lambda: {"impression": "normal"},
    ),
    row(
        "studies/<uuid:study_id>/reading/sign/",
        "POST",
        *(NO, DONE, DONE, 404, 404, NO),
        data=lambda: {"impression": "pneumonia", "stance": "agrees"},
    ),
    row(
        "readings/<uuid:reading_id>/addenda/",
        "POST",
        *(NO, DONE, DONE, 404, 404, NO),
        data=lambda: {"text": "The left side too."},
    ),
    row("readings/second-looks/", "GET", NO, 200, 200, 200, 200, NO),
    row(
        "readings/second-looks/<uuid:discrepancy_id>/",
        "POST",
        *(NO, DONE, DONE, 404, 404, NO),
        data=lambda: {"verdict": "unclear", "note": "Blurred."},
        but={"in_emergency": 404},
    ),
    row("readings/figures/", "GET", NO, 200, 200, 200, 200, NO),
    row("readings/figures.csv", "GET", NO, 200, 200, 200, 200, NO),
    row("site/reading/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "site/reading/",
        "POST",
        *(NO, 403, DONE, 403, DONE, NO),
        data=lambda: {"blind_first": "on"},
    ),
    row("models/", "GET", NO, 200, 200, 200, 200, NO),
    # A model that has answered nothing at South is none of South's business.
    row("models/<uuid:model_id>/", "GET", NO, 200, 200, 404, 404, NO),
    row("patients/<uuid:patient_id>/compare/", "GET", NO, 200, 200, 404, 404, NO),
    # --- report
    row("studies/<uuid:study_id>/reports/", "GET", NO, 200, 200, 404, 404, NO),
    row("studies/<uuid:study_id>/reports/preliminary.pdf", "GET", NO, 200, 200, 404, 404, NO),
    row(
        "studies/<uuid:study_id>/reports/issue/",
        "POST",
        *(NO, DONE, DONE, 404, 404, NO),
        data=lambda: {"seen": "0"},
        objects={"study_id": "unreported_study_id"},
    ),
    row("reports/<uuid:report_id>/pdf/", "GET", NO, 200, 200, 404, 404, NO),
    row(
        "reports/<uuid:report_id>/withdraw/",
        "POST",
        *(NO, DONE, DONE, 404, 404, NO),
        data=lambda: {"reason": "Wrong side."},
    ),
    row("verify/", "GET", 200, 200, 200, 200, 200, NO),
    row("verify/<str:code>/", "GET", 200, 200, 200, 200, 200, NO),
    row("studies/csv/", "GET", NO, 200, 200, 200, 200, NO),
    row("worklist/csv/", "GET", NO, 200, 200, 200, 200, NO),
    row("patients/<uuid:patient_id>/csv/", "GET", NO, 200, 200, 404, 404, NO),
    row("api/v1/studies/<uuid:study_id>/reports/", "GET", 401, 200, 200, 404, 404, 401),
    row(
        "api/v1/studies/<uuid:study_id>/reports/",
        "POST",
        *(401, 201, 201, 404, 404, 401),
        data=lambda: {"seen": 0},
        json=True,
        objects={"study_id": "unreported_study_id"},
    ),
    row(
        "api/v1/studies/<uuid:study_id>/reports/preliminary/",
        "GET",
        *(401, 200, 200, 404, 404, 401),
    ),
    row("api/v1/reports/<uuid:report_id>/pdf/", "GET", 401, 200, 200, 404, 404, 401),
    # --- insight
    row("site/", "GET", NO, 403, 200, 403, 200, NO),
    row("site/dashboard/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "site/dashboard.csv",
        "GET",
        *(NO, 403, 200, 403, 200, NO),
        data=lambda: {"figure": "studies"},
    ),
    # --- oversight
    row("site/backups/", "GET", NO, 403, 200, 403, 200, NO),
    row("site/audit/", "GET", NO, 403, 200, 403, 200, NO),
    row("site/audit/export/", "GET", NO, 403, 200, 403, 200, NO),
    row("patients/<uuid:patient_id>/accesses/", "GET", NO, 200, 200, 404, 404, NO),
    # --- model versions
    row("models/versions/", "GET", NO, 403, 200, 403, 200, NO),
    row(
        "models/versions/promote/",
        "GET",
        *(NO, 403, 200, 403, 200, NO),
        data=_version,
    ),
    row(
        "models/versions/promote/",
        "POST",
        *(NO, 403, DONE, 403, DONE, NO),
        data=_promotion,
    ),
    # The default answers already, and nothing runs in shadow.
    row(
        "models/versions/shadow/",
        "POST",
        *(NO, 403, 409, 403, 409, NO),
        data=_version,
    ),
    row("models/versions/shadow/stop/", "POST", NO, 403, 409, 403, 409, NO),
    row(
        "models/versions/shadow/look-back/",
        "POST",
        *(NO, 403, 409, 403, 409, NO),
        data=lambda: {"count": "5"},
    ),
    row("models/versions/comparison/", "GET", NO, 403, 200, 403, 200, NO),
    row("api/v1/models/", "GET", 401, 200, 200, 200, 200, 401),
    # --- viewer
    row("studies/<uuid:study_id>/view/", "GET", NO, 200, 200, 404, 404, NO),
    row("images/<uuid:image_id>/measurements/", "GET", NO, 200, 200, 404, 404, NO),
    row(
        "images/<uuid:image_id>/measurements/",
        "PUT",
        *(NO, 200, 200, 404, 404, NO),
        data=lambda: {"items": []},
    ),
    row(
        "viewer/preferences/",
        "PUT",
        *(NO, 200, 200, 200, 200, NO),
        data=lambda: {"tool": "zoom"},
    ),
    # --- API
    row("api/v1/schema/", "GET", 401, 200, 200, 200, 200, 401, but={"device": 200}),
    row("api/v1/docs/", "GET", 401, 200, 200, 200, 200, 401, but={"device": 200}),
    row(
        "api/v1/auth/token/",
        "POST",
        *(401, 401, 401, 401, 401, 401),
        data=lambda: {"username": "nobody", "password": "guess"},
        json=True,
        but={"read_token": 401, "device": 401},
    ),
    # A token gives itself up; a browser's session has none to give.
    row(
        "api/v1/auth/token/revoke/",
        "POST",
        *(401, 422, 422, 422, 422, 401),
        but={"read_token": 204, "device": 204},
    ),
    # What concerns the account is not read by a token that may read.
    row("api/v1/auth/tokens/", "GET", 401, 200, 200, 200, 200, 401, but={"read_token": 403}),
    row(
        "api/v1/auth/tokens/",
        "POST",
        *(401, 201, 201, 201, 201, 401),
        data=lambda: {"name": "Export", "scopes": ["read"], "days": 30},
        json=True,
    ),
    row(
        "api/v1/auth/tokens/<uuid:token_id>/",
        "DELETE",
        *(401, 204, 404, 404, 404, 401),
        but={"both_sites": 404},
    ),
    row("api/v1/site/tokens/", "GET", 401, 403, 200, 403, 200, 401),
    row(
        "api/v1/site/tokens/<uuid:token_id>/",
        "DELETE",
        *(401, 403, 204, 404, 404, 401),
        objects={"token_id": "colleague_token_id"},
    ),
    row("api/v1/patients/", "GET", 401, 200, 200, 200, 200, 401),
    row(
        "api/v1/patients/",
        "POST",
        401,
        201,
        201,
        201,
        201,
        401,
        json=True,
        data=lambda: {"mrn": "M-1", "family_name": "Matrix"},
    ),
    row("api/v1/patients/<uuid:patient_id>/", "GET", 401, 200, 200, 404, 404, 401),
    row(
        "api/v1/patients/<uuid:patient_id>/",
        "PATCH",
        401,
        200,
        200,
        404,
        404,
        401,
        json=True,
        data=lambda: {"sex": "O"},
    ),
    row("api/v1/studies/", "GET", 401, 200, 200, 200, 200, 401),
    row(
        "api/v1/studies/",
        "POST",
        *(401, 201, 201, 404, 404, 401),
        data=lambda: {"patient": "{patient_id}", "images": [_xray()]},
        but={"device": 201},
    ),
    row("api/v1/studies/<uuid:study_id>/", "GET", 401, 200, 200, 404, 404, 401),
    # Only who sent it: Alice.
    row(
        "api/v1/uploads/<uuid:study_id>/",
        "GET",
        *(401, 200, 404, 404, 404, 401),
        but={"both_sites": 404, "read_token": 403, "device": 404, "in_emergency": 404},
    ),
    row("api/v1/studies/<uuid:study_id>/readings/", "GET", 401, 200, 200, 404, 404, 401),
    row(
        "api/v1/studies/<uuid:study_id>/readings/draft/",
        "POST",
        *(401, 200, 200, 404, 404, 401),
        json=True,
        data=lambda: {"text": "Opacity."},
    ),
    row(
        "api/v1/studies/<uuid:study_id>/readings/first-impression/",
        "POST",
        *(401, 409, 409, 404, 404, 401),
        json=True,
        data=lambda: {"impression": "normal"},
    ),
    row(
        "api/v1/studies/<uuid:study_id>/readings/sign/",
        "POST",
        *(401, 201, 201, 404, 404, 401),
        json=True,
        data=lambda: {"impression": "pneumonia", "stance": "agrees"},
    ),
    row(
        "api/v1/readings/<uuid:reading_id>/addenda/",
        "POST",
        *(401, 201, 201, 404, 404, 401),
        json=True,
        data=lambda: {"text": "The left side too."},
    ),
    row("api/v1/images/<uuid:image_id>/display/", "GET", 401, 200, 200, 404, 404, 401),
    row("api/v1/images/<uuid:image_id>/thumbnail/", "GET", 401, 200, 200, 404, 404, 401),
    row("api/v1/images/<uuid:image_id>/original/", "GET", 401, 200, 200, 404, 404, 401),
    row("api/v1/images/<uuid:image_id>/heatmap/", "GET", 401, 200, 200, 404, 404, 401),
]
