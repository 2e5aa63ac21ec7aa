"""What the audit says after each request of the matrix: exactly that, and nothing twice.

A row of the matrix needs one here, or ``test_matrix.py`` fails. The rule for the rest:

* Whoever is asked to sign in leaves nothing (somebody signed in who does not work here any more
  is signed out, which is said). Only a sign-in that was tried is recorded.
* 403 leaves ``access.deny``, 404 ``access.miss``: what was asked for, not whether it exists.
* A write that fails for another reason (409, 422) changed nothing and leaves nothing. With an API
  token its use is recorded all the same.
* Everything else leaves what ``EVENTS`` says: one event for each object written or read, of an
  emergency access one at each of the two sites. A list
  is one event with the number of rows, whatever it lists, and the small pictures in it belong to
  it. Nothing is said of pages without patient data, and of what a person's own screen remembers
  (preferences of the viewer, notices seen, presence).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from screening.audit.models import Event

Said = list[str]

# What a request leaves that does what it was sent for: ``action object``.
EVENTS: dict[str, Said] = {
    "GET /healthz": [],
    "GET /readyz": [],
    "GET /robots.txt": [],
    "GET /.well-known/security.txt": [],
    "GET /login/": [],
    "POST /login/": [],
    "POST /logout/": [],
    "GET /account/password/": [],
    "POST /account/password/": [],
    "GET /invitation/<str:token>/": [],
    "POST /invitation/<str:token>/": ["invitation.accept invitation"],
    "GET /reset/<str:uidb64>/<str:token>/": [],
    "GET /account/": [],
    "POST /account/": ["user.set_preferences user"],
    "GET /account/confirm/": [],
    "POST /account/confirm/": [],
    "GET /site/settings/": [],
    "POST /site/settings/": ["site.set_time_zone site", "site.set_idle_time site"],
    "GET /users/": [],
    "GET /users/invite/": [],
    "POST /users/invite/": ["invitation.create invitation"],
    "POST /users/<uuid:membership_id>/role/": ["user.set_role membership"],
    "POST /users/<uuid:membership_id>/deactivate/": ["user.deactivate membership"],
    "POST /users/<uuid:membership_id>/reactivate/": [],
    "POST /users/<uuid:membership_id>/reset-password/": ["user.start_reset membership"],
    "POST /invitations/<uuid:invitation_id>/revoke/": ["invitation.revoke invitation"],
    "GET /patients/": ["patient.search"],
    "GET /patients/new/": [],
    "POST /patients/new/": ["patient.create patient"],
    "GET /patients/<uuid:patient_id>/edit/": ["patient.view patient"],
    "POST /patients/<uuid:patient_id>/edit/": ["patient.update patient"],
    "GET /patients/<uuid:patient_id>/upload/": ["patient.view patient"],
    "POST /patients/<uuid:patient_id>/upload/": ["study.create study", "image.receive image"],
    "POST /patients/<uuid:patient_id>/uploads/<uuid:study_id>/": [
        "study.create study",
        "image.receive image",
    ],
    "GET /images/<uuid:image_id>/display/": ["image.view image"],
    "GET /images/<uuid:image_id>/thumbnail/": [],
    "GET /images/<uuid:image_id>/original/": ["image.view image"],
    "GET /images/<uuid:image_id>/pixels/": ["image.view image"],
    "GET /studies/<uuid:study_id>/diagnosis/": ["diagnosis.view study"],
    "POST /studies/<uuid:study_id>/diagnosis/": ["diagnosis.record confirmeddiagnosis"],
    "POST /studies/<uuid:study_id>/diagnosis/withdraw/": [],
    "GET /site/diagnoses/": [],
    "POST /site/diagnoses/": ["diagnosis.import"],
    "GET /site/calibration/": ["calibration.view"],
    "GET /site/operating-points/": [],
    "POST /site/operating-points/": [],
    "GET /api/v1/studies/<uuid:study_id>/diagnoses/": ["diagnosis.view study"],
    "POST /api/v1/studies/<uuid:study_id>/diagnoses/": ["diagnosis.record confirmeddiagnosis"],
    "GET /images/<uuid:image_id>/heatmap/": ["image.view image"],
    "POST /images/<uuid:image_id>/retry/": ["job.retry job"],
    "GET /worklist/": ["worklist.list"],
    "GET /worklist/rows/": ["worklist.list"],
    "POST /worklist/next/": ["worklist.claim entry"],
    "GET /worklist/rule/": [],
    "POST /worklist/rule/": ["worklist.rule rule"],
    "POST /worklist/views/": ["worklist_view.save savedview"],
    "POST /worklist/views/<uuid:view_id>/delete/": ["worklist_view.delete savedview"],
    "POST /worklist/studies/<uuid:study_id>/claim/": ["worklist.claim entry"],
    "POST /worklist/studies/<uuid:study_id>/release/": [],
    "POST /worklist/studies/<uuid:study_id>/assign/": ["worklist.assign entry"],
    "POST /worklist/studies/<uuid:study_id>/retry/": [],
    "POST /worklist/studies/<uuid:study_id>/presence/": [],
    "GET /notifications/": ["notification.list"],
    "POST /notifications/read/": [],
    "POST /notifications/mail/": ["notification.wishes mailwishes"],
    "GET /notifications/bell/": [],
    "GET /api/v1/worklist/": ["worklist.list"],
    "POST /api/v1/worklist/<uuid:study_id>/claim/": ["worklist.claim entry"],
    "DELETE /api/v1/worklist/<uuid:study_id>/claim/": [],
    "GET /": ["study.list"],
    "GET /patients/<uuid:patient_id>/": ["patient.view patient"],
    "GET /studies/": ["study.list"],
    "GET /studies/<uuid:study_id>/": ["study.view study"],
    "GET /studies/<uuid:study_id>/state/": [],
    "POST /studies/<uuid:study_id>/reading/draft/": ["reading.draft reading"],
    "POST /studies/<uuid:study_id>/reading/first-impression/": [],
    "POST /studies/<uuid:study_id>/reading/sign/": [
        "reading.draft reading",
        "reading.sign reading",
    ],
    "POST /readings/<uuid:reading_id>/addenda/": ["reading.addendum reading"],
    "GET /readings/second-looks/": ["discrepancy.list"],
    "POST /readings/second-looks/<uuid:discrepancy_id>/": ["discrepancy.resolve discrepancy"],
    "GET /readings/figures/": ["reading.figures"],
    "GET /readings/figures.csv": ["reading.figures"],
    "GET /site/reading/": [],
    "POST /site/reading/": ["blind_first.set blindfirstswitch"],
    "GET /models/": [],
    "GET /models/<uuid:model_id>/": [],
    "GET /patients/<uuid:patient_id>/compare/": ["study.compare patient"],
    "GET /studies/<uuid:study_id>/reports/": ["report.list study"],
    "GET /studies/<uuid:study_id>/reports/preliminary.pdf": ["report.preliminary study"],
    "POST /studies/<uuid:study_id>/reports/issue/": ["report.issue report"],
    "GET /reports/<uuid:report_id>/pdf/": ["report.download report"],
    "POST /reports/<uuid:report_id>/withdraw/": ["report.withdraw report"],
    "GET /verify/": [],
    "GET /verify/<str:code>/": ["report.verify report"],
    "GET /studies/csv/": ["export.history"],
    "GET /worklist/csv/": ["export.worklist"],
    "GET /patients/<uuid:patient_id>/csv/": ["export.patient patient"],
    "GET /api/v1/studies/<uuid:study_id>/reports/": ["report.list study"],
    "POST /api/v1/studies/<uuid:study_id>/reports/": ["report.issue report"],
    "GET /api/v1/studies/<uuid:study_id>/reports/preliminary/": ["report.preliminary study"],
    "GET /api/v1/reports/<uuid:report_id>/pdf/": ["report.download report"],
    "GET /site/": [],
    "GET /site/dashboard/": ["dashboard.view"],
    "GET /site/dashboard.csv": ["dashboard.export"],
    "GET /models/versions/": [],
    "GET /models/versions/promote/": [],
    "POST /models/versions/promote/": ["model.activate activation"],
    "POST /models/versions/shadow/": [],
    "POST /models/versions/shadow/stop/": [],
    "POST /models/versions/shadow/look-back/": [],
    "GET /models/versions/comparison/": [],
    "GET /api/v1/models/": [],
    "GET /studies/<uuid:study_id>/view/": ["study.view study"],
    "GET /images/<uuid:image_id>/measurements/": [],
    "PUT /images/<uuid:image_id>/measurements/": ["image.measure image"],
    "PUT /viewer/preferences/": [],
    "GET /api/v1/schema/": [],
    "GET /api/v1/docs/": [],
    "POST /api/v1/auth/token/": [],
    "POST /api/v1/auth/token/revoke/": [],
    "GET /api/v1/patients/": ["patient.search"],
    "POST /api/v1/patients/": ["patient.create patient"],
    "GET /api/v1/patients/<uuid:patient_id>/": ["patient.view patient"],
    "PATCH /api/v1/patients/<uuid:patient_id>/": ["patient.update patient"],
    "GET /api/v1/studies/": ["study.list"],
    "POST /api/v1/studies/": ["study.create study", "image.receive image"],
    "GET /api/v1/studies/<uuid:study_id>/": ["study.view study"],
    "GET /api/v1/studies/<uuid:study_id>/readings/": ["reading.list study"],
    "POST /api/v1/studies/<uuid:study_id>/readings/draft/": ["reading.draft reading"],
    "POST /api/v1/studies/<uuid:study_id>/readings/first-impression/": [],
    "POST /api/v1/studies/<uuid:study_id>/readings/sign/": [
        "reading.draft reading",
        "reading.sign reading",
    ],
    "POST /api/v1/readings/<uuid:reading_id>/addenda/": ["reading.addendum reading"],
    "GET /api/v1/images/<uuid:image_id>/display/": ["image.view image"],
    "GET /api/v1/images/<uuid:image_id>/thumbnail/": [],
    "GET /api/v1/images/<uuid:image_id>/original/": ["image.view image"],
    "GET /api/v1/images/<uuid:image_id>/heatmap/": ["image.view image"],
    "GET /account/tokens/": [],
    "POST /account/tokens/": ["token.issue apitoken"],
    "POST /account/tokens/<uuid:token_id>/revoke/": ["token.revoke apitoken"],
    "GET /site/tokens/": [],
    "POST /site/tokens/<uuid:token_id>/revoke/": ["token.revoke apitoken"],
    "GET /api/v1/auth/tokens/": [],
    "POST /api/v1/auth/tokens/": ["token.issue apitoken"],
    "DELETE /api/v1/auth/tokens/<uuid:token_id>/": ["token.revoke apitoken"],
    "GET /api/v1/site/tokens/": [],
    "DELETE /api/v1/site/tokens/<uuid:token_id>/": ["token.revoke apitoken"],
    "GET /site/backups/": [],
    "GET /site/audit/": ["audit.search"],
    "GET /site/audit/export/": ["audit.export"],
    "GET /patients/<uuid:patient_id>/accesses/": ["patient.accesses patient"],
    "GET /account/second-factor/": [],
    "GET /account/second-factor/app/": [],
    "GET /account/second-factor/key/": [],
    "GET /api/v1/uploads/<uuid:study_id>/": [],
    "GET /login/second-factor/": [],
    "GET /site/devices/": [],
    "GET /site/devices/<uuid:device_id>/token/": [],
    "POST /account/second-factor/<int:factor_id>/name/": [],
    "POST /account/second-factor/<int:factor_id>/remove/": [
        "second_factor.remove user",
        "session.revoke user",
    ],
    "POST /account/second-factor/app/": [],
    "POST /account/second-factor/codes/": ["second_factor.renew_codes user"],
    "POST /account/second-factor/key/": [],
    "POST /login/second-factor/": [],
    "POST /site/devices/": ["device.create serviceaccount"],
    "POST /site/devices/<uuid:device_id>/deactivate/": ["device.deactivate serviceaccount"],
    "POST /site/devices/<uuid:device_id>/reactivate/": [],
    "POST /site/devices/<uuid:device_id>/token/": ["token.issue apitoken"],
    "POST /site/settings/second-factor/": ["site.set_second_factor_roles site"],
    "POST /users/<uuid:membership_id>/reset-second-factor/": [
        "session.revoke user",
        "second_factor.reset membership",
    ],
    "GET /exports/": [],
    "GET /exports/<uuid:export_id>/": [],
    "GET /exports/<uuid:export_id>/file/": ["export.download export"],
    "GET /exports/<uuid:export_id>/state/": [],
    "GET /exports/<uuid:export_id>/who-is-who.csv": ["export.reidentify export"],
    "GET /exports/new/": ["study.list"],
    "GET /exports/preview/<uuid:image_id>/": ["image.view image"],
    "POST /exports/<uuid:export_id>/looked/": ["export.look_over export"],
    "POST /exports/<uuid:export_id>/remove/": ["export.remove export"],
    "POST /exports/new/": ["export.deidentified export"],
    "GET /patients/<uuid:patient_id>/hold/": ["patient.view patient"],
    "POST /patients/<uuid:patient_id>/hold/": ["hold.place legalhold"],
    "GET /patients/<uuid:patient_id>/erase/": ["patient.view patient"],
    "POST /patients/<uuid:patient_id>/erase/": [],
    "GET /site/retention/": [],
    "POST /site/retention/": ["retention.set retentionrule"],
    "GET /site/retention/erasures/<uuid:erasure_id>.json": ["erasure.certificate erasure"],
    "GET /emergency/": [],
    "GET /site/emergencies/": ["emergency.list"],
    "POST /emergency/": [],
    "POST /emergency/<uuid:access_id>/end/": ["emergency.end patient", "emergency.end patient"],
    "POST /site/emergencies/<uuid:access_id>/review/": ["emergency.review emergencyreview"],
    "POST /site/emergencies/rule/": ["emergency.rule emergencyrule"],
    "GET /account/session/": [],
    "GET /account/sessions/": [],
    "POST /account/session/renew/": [],
    "POST /account/sessions/<uuid:handle>/end/": ["session.revoke user"],
    "POST /account/sessions/end-others/": ["session.revoke user"],
    "POST /users/<uuid:membership_id>/end-sessions/": ["session.revoke user"],
    "GET /sign-on/": [],
    "GET /sign-on/callback/": [],
}
ALWAYS: dict[str, Said] = {
    "POST /logout/": ["session.end user"],
    "POST /api/v1/auth/token/": ["session.refuse failed"],
}
"""The same, where even an answer that refuses has done what it says."""

# Where there is something to do or to see for some of them only.
ONLY = {
    "POST /account/sessions/end-others/": {"clinician_a"},
    "GET /site/calibration/": {"admin_a"},
    "POST /worklist/next/": {"clinician_a", "admin_a"},
}
# Accepting an invitation ends at the sign-in page.
LEADS_TO_SIGN_IN = {"POST /invitation/<str:token>/"}


def expected(row: str, persona: str, outcome: int | str, *, token: bool = False) -> Said:
    """What ``persona`` leaves whose request ended with ``outcome``."""
    if persona == "deactivated":
        return ["session.end user"]
    if row in ALWAYS and not (persona == "anonymous" and row == "POST /logout/"):
        return ALWAYS[row]
    if outcome in ("sign-in page", 401) and row not in LEADS_TO_SIGN_IN:
        return []
    if persona == "anonymous" and outcome in (403, 404):
        return []
    if outcome == 403:
        return ["access.deny denied"]
    if outcome == 404:
        return ["access.miss denied"]
    if isinstance(outcome, int) and outcome >= 400:
        return ["token.use failed"] if token else []
    if row in ONLY and persona not in ONLY[row]:
        return []
    return EVENTS[row] or (["token.use"] if token else [])


@contextmanager
def noted() -> Iterator[Said]:
    """The events that the block leaves, each as ``action object outcome``."""
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    said: Said = []
    yield said
    for event in Event.objects.filter(pk__gt=newest).order_by("pk"):
        words = [event.action, event.object_type, "" if event.outcome == "ok" else event.outcome]
        said.append(" ".join(word for word in words if word))
