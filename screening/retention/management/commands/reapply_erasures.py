"""Erase again, after a backup was restored, whoever was erased since it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from screening.retention.again import reapply_erasures


class Command(BaseCommand):
    help = "Erases again, after a restore, every patient that was erased since the backup."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--list",
            action="append",
            type=Path,
            default=[],
            help="an erasures.jsonl of the machine that was lost; may be given several times",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        missing = [path for path in options["list"] if not path.is_file()]
        if missing:
            raise CommandError(f"There is no list at {missing[0]}.")
        done = reapply_erasures(lists=options["list"])
        self.stdout.write(f"Erased again: {done}.")
