"""What the actions of the audit are called where people read them, and in which groups."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class ActionGroup:
    key: str
    title: Promise
    words: dict[str, Promise]


GROUPS = (
    ActionGroup(
        "read",
        _("Reading patient data"),
        {
            "patient.view": _("Opened the case record"),
            "patient.accesses": _("Looked at who opened the case record"),
            "patient.search": _("Searched for patients"),
            "study.view": _("Opened a study"),
            "study.list": _("Looked at a list of studies"),
            "study.compare": _("Compared two studies"),
            "image.view": _("Looked at an image"),
            "emergency.search": _("Searched another site’s records in an emergency"),
            "emergency.open": _("Opened a record of another site in an emergency"),
            "emergency.end": _("Ended an emergency access"),
            "emergency.list": _("Looked at the emergency accesses"),
            "diagnosis.view": _("Looked at confirmed diagnoses"),
            "reading.list": _("Looked at the readings of a study"),
            "report.list": _("Looked at the reports of a study"),
            "report.download": _("Opened a report"),
            "report.preliminary": _("Opened a preliminary report"),
            "report.verify": _("Checked whether a report is genuine"),
            "worklist.list": _("Looked at the worklist"),
            "discrepancy.list": _("Looked at the second looks"),
            "notification.list": _("Looked at the notifications"),
        },
    ),
    ActionGroup(
        "export",
        _("Exports"),
        {
            "export.history": _("Exported studies"),
            "export.patient": _("Exported a case record"),
            "export.worklist": _("Exported the worklist"),
            "export.deidentified": _("Asked for an export without names"),
            "export.look_over": _("Looked over an export without names"),
            "export.download": _("Downloaded an export without names"),
            "export.reidentify": _("Looked up who is who in an export without names"),
            "export.remove": _("Removed an export without names"),
            "export.expire": _("An export without names came to its end"),
            "export.fail": _("An export without names failed"),
            "hold.place": _("Placed a legal hold"),
            "hold.lift": _("Lifted a legal hold"),
            "patient.erase": _("Erased a patient"),
            "patient.erased": _("The erasure of a patient is complete"),
            "erasure.certificate": _("Took the certificate of an erasure"),
            "retention.set": _("Set how long records are kept"),
            "retention.preview": _("Looked whose records would go"),
            "dashboard.export": _("Exported figures of the site"),
            "audit.export": _("Exported the audit"),
        },
    ),
    ActionGroup(
        "write",
        _("Patients, studies and images"),
        {
            "patient.create": _("Registered a patient"),
            "patient.update": _("Changed a patient’s data"),
            "study.create": _("Began a study"),
            "image.receive": _("Sent an image"),
            "image.confirm_patient": _("Confirmed whose image it is"),
            "image.patient_mismatch": _("Sent an image that names somebody else"),
            "image.measure": _("Measured on an image"),
            "diagnosis.record": _("Recorded a confirmed diagnosis"),
            "diagnosis.withdraw": _("Withdrew a confirmed diagnosis"),
            "diagnosis.import_check": _("Checked a list of diagnoses"),
            "diagnosis.import": _("Imported diagnoses"),
            "job.retry": _("Sent an image to the model again"),
            "job.fail": _("The model could not read an image"),
            "job.refuse": _("The model refused an image"),
            "result.create": _("The model answered"),
            "result.replay": _("An answer was computed again"),
            "storage.rotate_keys": _("Files were encrypted with another key"),
            "storage.sweep": _("Files that belong to nothing were removed"),
        },
    ),
    ActionGroup(
        "reading",
        _("Worklist, readings and reports"),
        {
            "worklist.claim": _("Took a study in hand"),
            "worklist.release": _("Gave a study back"),
            "worklist.assign": _("Assigned a study"),
            "worklist.rebuild": _("The worklist was made anew"),
            "worklist_view.save": _("Saved a view of the worklist"),
            "worklist_view.delete": _("Removed a view of the worklist"),
            "reading.draft": _("Began a reading"),
            "reading.first_impression": _("Recorded the first impression"),
            "reading.sign": _("Signed a reading"),
            "reading.addendum": _("Added to a signed reading"),
            "discrepancy.resolve": _("Took a second look"),
            "report.issue": _("Issued a report"),
            "report.withdraw": _("Withdrew a report"),
        },
    ),
    ActionGroup(
        "sign_in",
        _("Signing in"),
        {
            "session.start": _("Signed in"),
            "session.end": _("Signed out"),
            "session.revoke": _("Ended a session from elsewhere"),
            "session.refuse": _("Was refused at the sign-in"),
            "session.confirm": _("Confirmed the password"),
            "token.issue": _("Made an API token"),
            "token.revoke": _("Ended an API token"),
            "token.use": _("Used an API token"),
            "second_factor.add": _("Added a second factor"),
            "second_factor.rename": _("Renamed a second factor"),
            "second_factor.remove": _("Removed a second factor"),
            "second_factor.renew_codes": _("Made new recovery codes"),
            "user.change_password": _("Changed the password"),
            "user.finish_reset": _("Set a new password by a link"),
            "user.set_preferences": _("Changed the own settings"),
            "notification.wishes": _("Chose which letters to get"),
        },
    ),
    ActionGroup(
        "admin",
        _("Administration"),
        {
            "backup.create": _("Made a backup"),
            "backup.restore": _("Restored a backup"),
            "site.create": _("Made a site"),
            "site.set_time_zone": _("Set the time zone of the site"),
            "user.create": _("Made an account"),
            "user.join": _("Came in from the hospital’s sign-on"),
            "user.link": _("Was tied to the hospital’s sign-on"),
            "user.keep_last_admin": _("Stayed administrator: the last one of the site"),
            "user.set_role": _("Changed a role"),
            "user.deactivate": _("Deactivated a person"),
            "user.reactivate": _("Reactivated a person"),
            "site.set_idle_time": _("Set after which idle time people are signed out"),
            "site.set_second_factor_roles": _("Set who needs a second factor"),
            "second_factor.reset": _("Removed the second factors of a person"),
            "device.create": _("Registered a device"),
            "device.deactivate": _("Deactivated a device"),
            "device.reactivate": _("Reactivated a device"),
            "user.start_reset": _("Made a link for a new password"),
            "invitation.create": _("Invited somebody"),
            "invitation.revoke": _("Withdrew an invitation"),
            "invitation.accept": _("Accepted an invitation"),
            "emergency.review": _("Reviewed an emergency access"),
            "emergency.rule": _("Set who may open records in an emergency"),
            "blind_first.set": _("Switched blind-first reading"),
            "worklist.rule": _("Set the rule of the worklist"),
            "operating_point.choose": _("Chose an operating point"),
            "model.activate": _("Changed the model that answers"),
            "shadow.start": _("Started a model in shadow"),
            "shadow.stop": _("Stopped a model in shadow"),
            "shadow.look_back": _("Asked a model in shadow about earlier studies"),
            "shadow.answer": _("A model in shadow answered"),
            "shadow.compare": _("Compared models"),
            "calibration.view": _("Looked at the local calibration"),
            "dashboard.view": _("Looked at the dashboard"),
            "reading.figures": _("Looked at the figures of readers"),
            "audit.search": _("Searched the audit"),
            "audit.verify": _("The audit was verified"),
        },
    ),
    ActionGroup(
        "denied",
        _("Refused"),
        {
            "access.deny": _("Was refused: not allowed"),
            "access.miss": _("Was refused: not found"),
        },
    ),
)
WORDS: dict[str, Promise] = {
    action: words for group in GROUPS for action, words in group.words.items()
}


def words_for(action: str) -> str:
    """What ``action`` is called; its code where nobody has thought of words yet."""
    return str(WORDS.get(action, action))
