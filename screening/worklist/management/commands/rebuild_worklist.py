"""``manage.py rebuild_worklist``: make the worklist anew from the studies."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from screening.worklist import upkeep


class Command(BaseCommand):
    help = "Makes every entry of the worklist anew from the studies; claims stay."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{upkeep.rebuild()} studies are on the list or were read.")
