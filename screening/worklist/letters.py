"""Letters about notifications.

A letter passes through machines that are not ours. So it names no patient, no study, no finding
and no address of the portal: it says that there is something to see, and that one has to sign in.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts import mail
from screening.accounts.preferences import as_seen_by
from screening.worklist.models import Kind, Mail, Notification

MAX_ATTEMPTS = 5
LEASE = timedelta(minutes=10)
"""After this a letter whose sending was begun and never ended is sent again."""
OLD = timedelta(days=60)


def _subject(kind: Kind) -> str:
    return {
        Kind.DONE: _("ThoraScreen: a study you sent is done"),
        Kind.FAILED: _("ThoraScreen: the analysis of a study you sent failed"),
        Kind.REFUSED: _("ThoraScreen: a study you sent was refused"),
        Kind.ASSIGNED: _("ThoraScreen: a study was assigned to you"),
        Kind.EMERGENCY: _("ThoraScreen: a record was opened in an emergency"),
        Kind.AUDIT: _("ThoraScreen: the audit is not as it was written"),
    }[kind]


def _body(kind: Kind) -> str:
    happened = {
        Kind.DONE: _("The analysis of a study you sent is done."),
        Kind.FAILED: _("The analysis of a study you sent failed. It can be tried again."),
        Kind.REFUSED: _("The quality check refused an image of a study you sent."),
        Kind.ASSIGNED: _("A colleague assigned a study to you."),
        Kind.EMERGENCY: _("A record was opened in an emergency, and waits for your review."),
        Kind.AUDIT: _("The audit is not as it was written: see Site → Audit."),
    }[kind]
    return "\n\n".join(
        (
            happened,
            _("Sign in to ThoraScreen as usual and open Notifications to see which."),
            _("This letter holds no patient data and no links. You chose to get it on the page "
              "Notifications, where you can also end it."),
        )
    )  # fmt: skip


def send(notification_id: UUID) -> bool:
    """Send the letter of one notification, if it is due. ``False`` where none went out."""
    now = timezone.now()
    due = Notification.objects.filter(
        pk=notification_id, mail__in=(Mail.DUE, Mail.SENDING), mail_after__lte=now
    )
    notification = due.select_related("user").first()
    if notification is None:
        return False
    seen = due.filter(mail=notification.mail, mail_after=notification.mail_after)
    attempts = notification.mail_attempts + 1
    if not seen.update(mail=Mail.SENDING, mail_attempts=attempts, mail_after=now + LEASE):
        return False  # Somebody else has it.
    user, kind = notification.user, Kind(notification.kind)
    with as_seen_by(user):
        subject, body = _subject(kind), _body(kind)
    sent = _may_still_know(notification) and mail.send_letter(
        to=user.email, subject=subject, body=body
    )
    if sent:
        _note(notification_id, Mail.SENT)
    elif attempts >= MAX_ATTEMPTS or not user.email or not _may_still_know(notification):
        _note(notification_id, Mail.FAILED)
    else:
        later = now + timedelta(minutes=2.0**attempts)
        Notification.objects.filter(pk=notification_id).update(mail=Mail.DUE, mail_after=later)
    return sent


def _may_still_know(notification: Notification) -> bool:
    return Notification.objects.visible_to(notification.user).filter(pk=notification.pk).exists()


def _note(notification_id: UUID, state: Mail) -> None:
    Notification.objects.filter(pk=notification_id).update(mail=state, mail_after=None)


def send_due(*, limit: int = 200) -> int:
    """Send what is due: letters whose message was lost, or that the mail server did not take."""
    due = Notification.objects.filter(
        mail__in=(Mail.DUE, Mail.SENDING), mail_after__lte=timezone.now()
    )
    keys = list(due.order_by("mail_after").values_list("pk", flat=True)[:limit])
    return sum(send(key) for key in keys)


def forget_old() -> int:
    """Remove notifications that are two months old; the audit keeps what matters."""
    removed, _per_model = Notification.objects.filter(at__lt=timezone.now() - OLD).delete()
    return removed
