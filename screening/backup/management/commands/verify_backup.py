from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from screening.backup.manifest import check_parts, read_manifest
from screening.core.errors import PortalError
from screening.core.recipient import read_opening_key, read_sealing_key


class Command(BaseCommand):
    help = "Read a backup through and compare every part with what was made. Either key will do."
    requires_migrations_checks = False
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--key", type=Path, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            try:
                key: Any = read_sealing_key(options["key"])
            except PortalError:
                key = read_opening_key(options["key"])
            manifest = read_manifest(options["folder"], key)
            check_parts(options["folder"], manifest)
        except PortalError as error:
            raise CommandError(f"{error.code}: {error.message}") from None
        self.stdout.write(
            f"The backup of {manifest.made_at} is whole: the database and "
            f"{len(manifest.files)} files, {manifest.size / 1e6:.1f} MB."
        )
