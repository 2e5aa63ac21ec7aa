"""``manage.py anchor_audit``: put the heads of the chains outside the database now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from screening.audit.anchors import send_anchors, write_anchors
from screening.audit.verification import chains


class Command(BaseCommand):
    help = "Writes an anchor for every chain that has moved, and sends what was not sent yet."

    def handle(self, *args: Any, **options: Any) -> None:
        written = write_anchors(chains())
        self.stdout.write(f"{len(written)} anchors written.")
        if not send_anchors():
            raise CommandError("The other machine did not take the anchors.", returncode=1)
