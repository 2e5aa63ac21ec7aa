from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from screening.core.recipient import make_pair


class Command(BaseCommand):
    help = "Make the pair of key files for backups: one seals them, the other opens them."
    requires_migrations_checks = False
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="where to write the two files")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        sealing, opening = folder / "backup-sealing.key", folder / "backup-opening.key"
        try:
            key = make_pair(sealing, opening)
        except OSError as error:
            raise CommandError(f"The key files can't be written: {error}") from None
        self.stdout.write(f"Made the pair {key.id}.")
        self.stdout.write(f"{sealing} stays here: it makes backups and can't read them.")
        self.stdout.write(
            f"{opening} reads them: move it to a safe place away from this machine, in two copies. "
            "Without it no backup can be restored."
        )
