from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from screening.backup.services import back_up, scheduled_place
from screening.core.errors import PortalError


class Command(BaseCommand):
    help = "Make an encrypted backup of database and files while the portal runs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", type=Path, help="folder of backups (else BACKUP_TO)")
        parser.add_argument("--key", type=Path, help="sealing key file (else BACKUP_SEALING_KEY)")
        parser.add_argument("--keep", type=int, help="keep the newest so many (else BACKUP_KEEP)")

    def handle(self, *args: Any, **options: Any) -> None:
        keep = settings.BACKUP_KEEP if options["keep"] is None else options["keep"]
        try:
            if options["to"] and options["key"]:
                to, key = options["to"], options["key"]
            else:
                place = scheduled_place()
                to, key = options["to"] or place[0], options["key"] or place[1]
            made = back_up(to=to, key_file=key, keep=keep, tell=self.stdout.write)
        except PortalError as error:
            raise CommandError(f"{error.code}: {error.message}") from None
        found = made.manifest
        self.stdout.write(
            f"{made.folder}: {len(found.files)} files and the database, "
            f"{found.size / 1e6:.1f} MB, {made.new_bytes / 1e6:.1f} MB of it new."
        )
        for name in made.removed:
            self.stdout.write(f"Removed the old backup {name}.")
        if found.unreadable:
            raise CommandError(
                f"backup_files_lost: {len(found.unreadable)} stored files could not be read; "
                "the rest is in the backup. Its manifest.json names them."
            )
