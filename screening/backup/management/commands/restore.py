from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from screening.backup.restoring import restore
from screening.core.errors import PortalError
from screening.core.recipient import read_opening_key


class Command(BaseCommand):
    help = "Restore a backup onto an empty machine. Stop web, workers and scheduler first."
    requires_migrations_checks = False
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="the backup's own folder")
        parser.add_argument("--key", type=Path, required=True, help="the opening key file")
        parser.add_argument(
            "--replace", action="store_true", help="put aside what is here, even if it is in use"
        )
        parser.add_argument(
            "--plain", action="store_true", help="store files plain that were encrypted at rest"
        )

        parser.add_argument(
            "--erasures",
            action="append",
            type=Path,
            default=[],
            metavar="FILE",
            help="erasures.jsonl of the machine that was lost; may be given several times",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        missing = [path for path in options["erasures"] if not path.is_file()]
        if missing:
            raise CommandError(f"There is no list of erasures at {missing[0]}.")
        try:
            done = restore(
                options["folder"],
                read_opening_key(options["key"]),
                replace=options["replace"],
                plain=options["plain"],
                erasures=options["erasures"],
                tell=self.stdout.write,
            )
        except PortalError as error:
            raise CommandError(f"{error.code}: {error.message}") from None
        except OSError as error:
            raise CommandError(f"restore_not_written: {error.strerror}; run it again.") from None
        self.stdout.write(
            f"Restored the backup of {done.manifest.made_at}: {done.files} files, "
            f"{sum(done.manifest.tables.values())} rows."
        )
        for name in done.lost:
            self.stdout.write(f"{name} could not be read when the backup was made.")
        self.stdout.write(f"Erased again: {done.erased} patients.")
        self.stdout.write(
            "What was revoked since then (tokens, people) holds no more: do it again. "
            "Erasures were done again as far as the lists of them tell."
        )
        if done.audit:
            self.stderr.write(done.audit)
        if done.wrong or done.audit:
            for name in done.wrong:
                self.stderr.write(f"{name} is not what its row says.")
            raise CommandError("The restored portal is not whole; see the lines above.")
