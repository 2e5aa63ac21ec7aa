from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from screening.core.errors import PortalError
from screening.core.keyring import make_key
from screening.studies.rotation import Rotation, Turn, rotate
from screening.studies.sealed_storage import keyring, sealed_storage

TELL_EVERY_S = 5.0


class Command(BaseCommand):
    help = (
        "Encrypt stored files that are plain, and bring the others under the newest key. The "
        "portal may run meanwhile; a run that was cut off is simply started again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--new-key", action="store_true", help="make a new key first")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["new_key"]:
            key = make_key(keyring().folder)
            self.stdout.write(f"Made key {key.id}, fingerprint {key.fingerprint}.")
        self._told_at = time.monotonic()
        try:
            done = rotate(sealed_storage(), tell=self._tell)
        except PortalError as error:
            raise CommandError(f"{error.code}: {error.message}") from None
        self.stdout.write(self._line(done))
        if done.failed:
            raise CommandError(
                f"{len(done.failed)} files stay as they are (see the log), and no key may be "
                "removed yet. Put the keys back that are missing, and run this again."
            )
        for id in done.free:
            self.stdout.write(
                f"No stored file needs the key {id} any more: its file may be removed."
            )

    def _tell(self, so_far: Rotation) -> None:
        if time.monotonic() - self._told_at < TELL_EVERY_S:
            return
        self._told_at = time.monotonic()
        self.stdout.write(self._line(so_far))

    def _line(self, done: Rotation) -> str:
        return (
            f"Key {done.newest}: {done.done[Turn.ENCRYPTED]} files encrypted, "
            f"{done.done[Turn.REWRAPPED]} brought under it, {done.done[Turn.KEPT]} were already, "
            f"{len(done.failed)} failed."
        )
