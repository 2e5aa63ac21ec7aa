"""Who may do what: one row for each address and method, one column for each person.

Alice (clinician A) and Adam (admin A) work at North; every object named in an address belongs to
North. Bob (clinician B) and Berta (admin B) work at South, so for them it does not exist. Dora
worked at North once; anonymous people never did.

A new address needs a row here, or ``test_matrix.py`` fails. To add one: the route as the
URLconf spells it, the method, and what each person gets. ``LOGIN`` is a redirect to the
sign-in page, ``DONE`` a redirect elsewhere; numbers are HTTP statuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from ml.phantom import phantom_png

LOGIN = "sign-in page"
DONE = "redirect"

PERSONAS = ("anonymous", "clinician_a", "admin_a", "clinician_b", "admin_b", "deactivated")

Outcome = int | str


@dataclass(frozen=True)
class Row:
    """``data`` is what is sent; ``objects`` replaces what a name in the route stands for."""

    route: str
    method: str
    expected: dict[str, Outcome]
    data: Callable[[], dict[str, Any]] = dict
    json: bool = False
    objects: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} /{self.route}"


def row(route: str, method: str, *expected: Outcome, **more: Any) -> Row:
    return Row(route, method, dict(zip(PERSONAS, expected, strict=True)), **more)


def _xray() -> SimpleUploadedFile:
    return SimpleUploadedFile("chest.png", phantom_png(seed=5, size=(256, 256)), "image/png")


def _patient() -> dict[str, Any]:
    return {"mrn": "M-1", "family_name": "Matrix", "given_name": "", "birth_date": "", "sex": ""}


def _account() -> dict[str, Any]:
    secret = "lantern-over-quiet-water-7"
    names = {"username": "newcomer", "first_name": "New", "last_name": "Comer"}
    return {**names, "password1": secret, "password2": secret}


# Pages that anybody may open, spelt out a second time: making one public takes two changes.
PUBLIC = {
    "healthz",
    "readyz",
    "login/",
    "invitation/<str:token>/",
    "reset/<str:uidb64>/<str:token>/",
    "api/v1/auth/token/",
}

NO = LOGIN  # what nobody gets without signing in

#         anonymous  clinician_a  admin_a  clinician_b  admin_b  deactivated
ROWS = [
    row("healthz", "GET", 200, 200, 200, 200, 200, NO),
    row("readyz", "GET", 200, 200, 200, 200, 200, NO),
    # --- accounts
    row("login/", "GET", 200, DONE, DONE, DONE, DONE, NO),
    row("login/", "POST", 200, DONE, DONE, DONE, DONE, NO),
    row("logout/", "POST", NO, NO, NO, NO, NO, NO),
    row("account/password/", "GET", NO, 200, 200, 200, 200, NO),
    row("account/password/", "POST", NO, 200, 200, 200, 200, NO),
    row("invitation/<str:token>/", "GET", 200, 200, 200, 200, 200, NO),
    row("invitation/<str:token>/", "POST", NO, 409, 409, DONE, DONE, NO, data=_account),
    # The link is Alice's, and died when she signed in without it.
    row("reset/<str:uidb64>/<str:token>/", "GET", DONE, 200, DONE, DONE, DONE, NO),
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
    row("invitations/<uuid:invitation_id>/revoke/", "POST", NO, 403, DONE, 404, 404, NO),
    # --- patients
    row("patients/", "GET", NO, 200, 200, 200, 200, NO),
    row("patients/new/", "GET", NO, 200, 200, 200, 200, NO),
    row("patients/new/", "POST", NO, DONE, DONE, DONE, DONE, NO, data=_patient),
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
    # --- inference
    row("images/<uuid:image_id>/heatmap/", "GET", NO, 200, 200, 404, 404, NO),
    row(
        "images/<uuid:image_id>/retry/",
        "POST",
        *(NO, DONE, DONE, 404, 404, NO),
        objects={"image_id": "failed_image_id"},
    ),
    # --- reading
    row("", "GET", NO, 200, 200, 200, 200, NO),
    row("patients/<uuid:patient_id>/", "GET", NO, 200, 200, 404, 404, NO),
    row("studies/", "GET", NO, 200, 200, 200, 200, NO),
    row("studies/<uuid:study_id>/", "GET", NO, 200, 200, 404, 404, NO),
    row("studies/<uuid:study_id>/state/", "GET", NO, 200, 200, 404, 404, NO),
    row("models/", "GET", NO, 200, 200, 200, 200, NO),
    # A model that has answered nothing at South is none of South's business.
    row("models/<uuid:model_id>/", "GET", NO, 200, 200, 404, 404, NO),
    # --- API
    row("api/v1/schema/", "GET", 401, 200, 200, 200, 200, 401),
    row("api/v1/docs/", "GET", 401, 200, 200, 200, 200, 401),
    row(
        "api/v1/auth/token/",
        "POST",
        *(401, 401, 401, 401, 401, 401),
        data=lambda: {"username": "nobody", "password": "guess"},
        json=True,
    ),
    row("api/v1/auth/token/revoke/", "POST", 401, 422, 422, 422, 422, 401),
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
    ),
    row("api/v1/studies/<uuid:study_id>/", "GET", 401, 200, 200, 404, 404, 401),
    row("api/v1/images/<uuid:image_id>/display/", "GET", 401, 200, 200, 404, 404, 401),
    row("api/v1/images/<uuid:image_id>/thumbnail/", "GET", 401, 200, 200, 404, 404, 401),
    row("api/v1/images/<uuid:image_id>/original/", "GET", 401, 200, 200, 404, 404, 401),
    row("api/v1/images/<uuid:image_id>/heatmap/", "GET", 401, 200, 200, 404, 404, 401),
]
