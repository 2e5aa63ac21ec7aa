"""People beyond the six columns: each with one sentence that says what they get on any row.

The sentences are a statement of their own, made of what the six get and not of the code's rules; a
row that is an exception says so in ``but``. To add somebody: make the account in ``conftest.py``
(``people``), and give it an entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.test import Client

from screening.accounts.models import Scope, User
from screening.accounts.services.tokens import issue_token
from tests.permissions.matrix import DONE, LOGIN, Outcome, Row
from tests.personas import ClientOf

People = dict[str, User | None]


@dataclass(frozen=True)
class Further:
    """Somebody who is not one of the six.

    ``sees_north``: whether North's patients may be named in what they get. ``come`` makes their
    browser or program; without it they sign in on the page.
    """

    name: str
    usually: Callable[[Row], Outcome]
    sees_north: bool = False
    come: Callable[[User], Client] | None = None

    def arrives(self, people: People, client_of: ClientOf) -> Client:
        user = people[self.name]
        return client_of(user) if self.come is None or user is None else self.come(user)


def both_sites(row: Row) -> Outcome:
    """Clinician at North, administrator at South: for each object, what its own site gave them.

    So North's objects are a clinician's, to the refusals. Where an address names nothing, being
    an administrator somewhere opens the page, which then shows that site.
    """
    if row.names_an_object or row.expected["clinician_a"] != 403:
        return row.expected["clinician_a"]
    return row.expected["admin_b"]


def never_member(row: Row) -> Outcome:
    """An account that belongs to no site is nobody's, like one that was deactivated."""
    return row.expected["deactivated"]


def read_token(row: Row) -> Outcome:
    """A program with a clinician's token that may read: the API's reading half, and no page."""
    if not row.is_api:
        return row.expected["anonymous"]
    return row.expected["clinician_a"] if row.method == "GET" else 403


def device(row: Row) -> Outcome:
    """An X-ray machine of North with its token: it sends, and nothing else is open to it."""
    return 403 if row.is_api else row.expected["anonymous"]


# What an administrator needs in order to get a second factor at all.
_BEFORE_THE_FACTOR = {
    "account/confirm/",
    "account/session/",
    "account/session/renew/",
    "account/second-factor/",
    "account/second-factor/app/",
    "account/second-factor/key/",
}


def admin_without_factor(row: Row) -> Outcome:
    """An administrator of North who has not set up the second factor that the site demands.

    Led to the page on which to do that from everywhere else; the API says no. Leaving is allowed.
    """
    if row.route.startswith("sign-on/"):  # There is no provider here, whoever asks.
        return 404
    if row.route in _BEFORE_THE_FACTOR or row.expected["admin_a"] == LOGIN:
        return row.expected["admin_a"]
    return 403 if row.is_api else DONE


# What of a record may be read by whoever opened it in an emergency. All else of it may not.
READ_IN_EMERGENCY = {
    "patients/<uuid:patient_id>/",
    "patients/<uuid:patient_id>/compare/",
    "studies/<uuid:study_id>/",
    "studies/<uuid:study_id>/state/",
    "studies/<uuid:study_id>/view/",
    "studies/<uuid:study_id>/reports/",
    "reports/<uuid:report_id>/pdf/",
    "images/<uuid:image_id>/display/",
    "images/<uuid:image_id>/thumbnail/",
    "images/<uuid:image_id>/pixels/",
    "images/<uuid:image_id>/heatmap/",
    "images/<uuid:image_id>/measurements/",
    "models/<uuid:model_id>/",
    "api/v1/patients/<uuid:patient_id>/",
    "api/v1/studies/<uuid:study_id>/",
    "api/v1/studies/<uuid:study_id>/diagnoses/",
    "api/v1/studies/<uuid:study_id>/readings/",
    "api/v1/studies/<uuid:study_id>/reports/",
    "api/v1/reports/<uuid:report_id>/pdf/",
    "api/v1/images/<uuid:image_id>/display/",
    "api/v1/images/<uuid:image_id>/thumbnail/",
    "api/v1/images/<uuid:image_id>/heatmap/",
}
_OF_A_RECORD = ("patient_id", "study_id", "image_id", "reading_id", "report_id", "discrepancy_id")


def in_emergency(row: Row) -> Outcome:
    """A clinician of West who has opened the record of North's patient: reading, no more.

    What is not in the record is as closed as to anybody of another site.
    """
    if row.method == "GET" and row.route in READ_IN_EMERGENCY:
        return 200
    if any(name in row.route for name in _OF_A_RECORD) and not row.route.startswith("worklist/"):
        return 403
    return row.expected["clinician_b"]


def _with_password_only(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _with_token(*scopes: Scope) -> Callable[[User], Client]:
    def come(user: User) -> Client:
        secret = issue_token(user=user, scopes=scopes)
        return Client(headers={"Authorization": f"Token {secret}"})

    return come


FURTHER = (
    Further("both_sites", both_sites, sees_north=True),
    Further("never_member", never_member),
    Further("admin_without_factor", admin_without_factor, come=_with_password_only),
    Further("in_emergency", in_emergency, sees_north=True),
    Further("read_token", read_token, sees_north=True, come=_with_token(Scope.READ)),
    Further("device", device, come=_with_token(Scope.UPLOAD)),
)
