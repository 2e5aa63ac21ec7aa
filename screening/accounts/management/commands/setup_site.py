"""``manage.py setup_site``: a site, an admin and a clinician for an empty portal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from screening.accounts.services.setup import create_first_site


class Command(BaseCommand):
    help = "Create the first site with an admin and a clinician, with generated passwords."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", required=True, help="name of the hospital or practice")
        parser.add_argument(
            "--first-login-file",
            required=True,
            type=Path,
            help="where the passwords are kept, readable by you only",
        )
        parser.add_argument("--address", default="", help="the portal's address, for the file")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["first_login_file"]
        logins = create_first_site(name=options["site"], keep_in=path, address=options["address"])
        if logins is None:
            self.stdout.write("A site exists already; nothing was changed.")
            return
        self.stdout.write(f"Created the site {options['site']} with two users:")
        for login in logins:
            self.stdout.write(f"  {login.username}  password {login.password}")
        self.stdout.write(f"This is shown once. It is kept in {path}; delete that when done.")
