"""``manage.py reset_second_factor``: the way back where no administrator can sign in any more."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from screening.accounts.services.second_factors import reset_by_operator
from screening.core.errors import PortalError


class Command(BaseCommand):
    help = "Remove the second factors of a user, who sets up new ones after the next sign-in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = reset_by_operator(username=options["username"].strip())
        except PortalError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"{user.get_username()} now signs in with the password alone.")
