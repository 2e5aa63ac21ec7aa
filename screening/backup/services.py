"""Making backups on command and by the clock, and keeping what became of them."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts.mail import send_letter
from screening.accounts.models import Membership, User
from screening.accounts.policies import Permission, roles_with
from screening.audit.models import Outcome
from screening.audit.services import record
from screening.backup.database import BackupFailed
from screening.backup.making import Made, make_backup
from screening.backup.models import Run
from screening.core.errors import PortalError
from screening.core.recipient import read_sealing_key

logger = logging.getLogger(__name__)


def back_up(
    *, to: Path, key_file: Path, keep: int = 0, tell: Callable[[str], None] = lambda _: None
) -> Made:
    """Make a backup, and note what became of it.

    :raises PortalError: it could not be made; the code says why, and administrators are told.
    """
    started = timezone.now()
    try:
        made = make_backup(to=to, key=read_sealing_key(key_file), keep=keep, tell=tell)
    except PortalError as error:
        _note(Run(started_at=started, finished_at=timezone.now(), code=error.code))
        raise
    except Exception:
        _note(Run(started_at=started, finished_at=timezone.now(), code="backup_failed"))
        raise
    lost = len(made.manifest.unreadable)
    _note(
        Run(
            started_at=started,
            finished_at=timezone.now(),
            code="backup_files_lost" if lost else "",
            folder=made.folder.name,
            file_count=len(made.manifest.files),
            lost_files=lost,
            size_bytes=made.manifest.size,
            new_bytes=made.new_bytes,
        )
    )
    return made


def _note(run: Run) -> None:
    """Write down how it went; a database that is away must not hide that from the caller."""
    try:
        with transaction.atomic():
            run.save()
            record(
                "backup.create",
                run,
                outcome=Outcome.FAILED if run.code else Outcome.OK,
                detail={"folder": run.folder, "code": run.code, "files": run.file_count},
            )
    except DatabaseError as error:
        logger.error("what became of a backup was not noted: %s", type(error).__name__)
        return
    if run.code:
        _tell_administrators(run)


def _tell_administrators(run: Run) -> None:
    """By letter, where there is a mail server; the page of backups says it anyhow."""
    in_charge = Membership.objects.filter(
        is_active=True, user__is_active=True, role__in=roles_with(Permission.MANAGE_SITE)
    )
    addresses = User.objects.filter(pk__in=in_charge.values("user")).exclude(email="")
    for address in addresses.values_list("email", flat=True).distinct():
        send_letter(
            to=address,
            subject=_("ThoraScreen: the backup failed"),
            body=_("The backup of today did not go well (%(code)s). See Site → Backups and keys.")
            % {"code": run.code},
        )


def start_scheduled() -> None:
    """Start a backup in a process of its own.

    It may take hours, and a task must end before the broker thinks it lost. A second start while
    one is under way ends at once by itself.
    """
    if not settings.BACKUP_TO:
        return
    subprocess.Popen(
        [sys.executable, "-m", "django", "backup"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def scheduled_place() -> tuple[Path, Path]:
    """The folder and the key file that the settings name.

    :raises BackupFailed: they name none (``backup_not_set_up``).
    """
    if not settings.BACKUP_TO or not settings.BACKUP_SEALING_KEY:
        raise BackupFailed(
            _("Say where to: --to FOLDER --key FILE, or set BACKUP_TO and BACKUP_SEALING_KEY."),
            code="backup_not_set_up",
        )
    return Path(settings.BACKUP_TO), Path(settings.BACKUP_SEALING_KEY)
