"""``manage.py create_admin``: the way in for the first admin of a production portal."""

from __future__ import annotations

import sys
from getpass import getpass
from pathlib import Path
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from screening.accounts.forms import check_username
from screening.accounts.models import User
from screening.accounts.services.setup import create_admin
from screening.core.errors import PortalError


class Command(BaseCommand):
    help = "Create an admin of a site, and the site where it does not exist yet."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", required=True, help="name of the hospital or practice")
        parser.add_argument("--username", required=True)
        parser.add_argument("--email", default="")
        parser.add_argument(
            "--password-file",
            type=Path,
            help="read the password from this file instead of asking for it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        username = options["username"].strip().lower()
        try:
            check_username(username)
            password = self._password(options["password_file"])
            validate_password(password, User(username=username, email=options["email"]))
            create_admin(
                site_name=options["site"].strip(),
                username=username,
                email=options["email"],
                password=password,
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        except PortalError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"{username} can now sign in and manage {options['site'].strip()}.")

    def _password(self, path: Path | None) -> str:
        if path is not None:
            try:
                return path.read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise CommandError(
                    f"The password file cannot be read: {type(error).__name__}."
                ) from None
        if not sys.stdin.isatty():
            raise CommandError("Give --password-file; there is no terminal to ask at.")
        password = getpass("Password: ")
        if getpass("The same again: ") != password:
            raise CommandError("The two passwords differ; nothing was changed.")
        return password
