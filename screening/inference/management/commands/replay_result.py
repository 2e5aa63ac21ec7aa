from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from screening.inference.failures import Failure, message_of
from screening.inference.models import Result
from screening.inference.replay import replay_result


class Command(BaseCommand):
    help = "Compute a stored result again from its receipt and state the largest difference."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=UUID, help="the result's id, or its image's")

    def handle(self, *args: Any, **options: Any) -> None:
        results = Result.objects.select_related("image__study", "model_version")
        found = list(results.filter(pk=options["id"]) or results.filter(image_id=options["id"]))
        if not found:
            raise CommandError("There is no result and no image with this id.")
        broken = False
        for result in found:
            try:
                replay = replay_result(result)
            except Failure as failure:
                raise CommandError(f"{failure.code}: {message_of(failure.code)}") from failure
            broken = broken or not replay.holds
            self.stdout.write(
                f"{result.pk} {result.model_version} ({result.runtime}): "
                f"{'identical' if replay.identical else 'not identical'}, "
                f"largest difference {replay.largest_difference:.3g}"
                + (f", changed: {', '.join(replay.changed)}" if replay.changed else "")
            )
        if broken:
            raise CommandError("The stored answer is not what its receipt says.")
