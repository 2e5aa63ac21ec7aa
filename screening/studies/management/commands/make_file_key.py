from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from screening.core.keyring import make_key


class Command(BaseCommand):
    help = "Make a key for stored files; new files are locked with it from now on."
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        key = make_key(Path(settings.ENCRYPTION_KEYS_DIR))
        self.stdout.write(f"Made key {key.id}, fingerprint {key.fingerprint}.")
        self.stdout.write(
            f"Keep a copy of {settings.ENCRYPTION_KEYS_DIR}, apart from the files and from their "
            "backups: without the key nobody can open what it locks."
        )
