"""Telling people what became of their studies: on the portal's pages, and by letter if wished."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from screening.accounts.mail import mail_is_on
from screening.accounts.models import User
from screening.audit.services import record
from screening.core.tasks import send_after_commit
from screening.studies.models import Study
from screening.worklist import tasks
from screening.worklist.models import Kind, Mail, MailWishes, Notification


def tell(*, user_id: UUID, study: Study, kind: Kind, caused_by: User | None = None) -> None:
    """Tell one person of one study, in the caller's transaction.

    What was told before is told again instead of a second time: it moves to the top, unread.
    """
    now = timezone.now()
    mail = Mail.DUE if _wants_letter(user_id, kind) else Mail.NONE
    told = Notification(
        user_id=user_id,
        study=study,
        kind=kind,
        site_id=study.site_id,
        caused_by=caused_by,
        at=now,
        mail=mail,
        mail_after=now if mail == Mail.DUE else None,
    )
    # One statement, whether it was told before or not: it stands at the end of every job.
    Notification.objects.bulk_create(
        [told],
        update_conflicts=True,
        unique_fields=("user", "study", "kind"),
        update_fields=(
            "site",
            "caused_by",
            "at",
            "read_at",
            "mail",
            "mail_attempts",
            "mail_after",
            "updated_at",
        ),
    )
    if mail == Mail.DUE:
        key = Notification.objects.values_list("pk", flat=True).get(
            user_id=user_id, study=study, kind=kind
        )
        send_after_commit(tasks.send_letter, str(key))


def tell_of_emergency(*, user_id: UUID, site_id: UUID, caused_by: User) -> None:
    """Tell an admin that ``caused_by`` has opened a record to or from the admin's site."""
    Notification.objects.create(
        user_id=user_id,
        site_id=site_id,
        kind=Kind.EMERGENCY,
        caused_by=caused_by,
        at=timezone.now(),
    )


def tell_of_audit(*, user_id: UUID, site_id: UUID) -> None:
    """Tell an admin that the audit of the site is not as it was written."""
    Notification.objects.create(
        user_id=user_id, site_id=site_id, kind=Kind.AUDIT, at=timezone.now()
    )


def _wants_letter(user_id: UUID, kind: Kind) -> bool:
    if not mail_is_on():
        return False
    wishes = MailWishes.objects.filter(user=user_id).first()
    return wishes is not None and wishes.wants(kind)


def mark_read(*, actor: User, study_id: UUID | None = None) -> int:
    """Note that ``actor`` has seen what was told (of one study); return of how much."""
    unread = Notification.objects.filter(user=actor, read_at=None)
    if study_id is not None:
        unread = unread.filter(study=study_id)
    return unread.update(read_at=timezone.now())


def set_mail_wishes(*, actor: User, done: bool, stuck: bool, assigned: bool) -> MailWishes:
    """Choose which notifications come as letters too."""
    values = {"done": done, "stuck": stuck, "assigned": assigned}
    with transaction.atomic():
        wishes, _ = MailWishes.objects.update_or_create(user=actor, defaults=values)
        record("notification.wishes", wishes, actor=actor, detail=values)
    return wishes
