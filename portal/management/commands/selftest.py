from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.selftest.document import draw
from portal.selftest.registry import Line, checks
from portal.selftest.running import run_selftest
from screening.core.private_files import replace_private_file


class Command(BaseCommand):
    help = (
        "Examine the installed portal and write a report (PDF and JSON) that says line by line "
        "what was seen and which demand of OWASP ASVS 5 and HIPAA it answers. What is installed "
        "is only read; the rest is tried in a scratch portal that is removed afterwards. Ends "
        "with an error if something failed."
    )

    requires_system_checks = ()  # They are the first line of the report.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--output", type=Path, default=Path("selftest"), help="folder of the report"
        )
        parser.add_argument(
            "--only",
            nargs="+",
            default=[],
            choices=[check.key for check in checks()],
            metavar="CHECK",
            help="one or more of: %(choices)s",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        logging.disable(logging.ERROR)  # Thousands of requests are refused here, as they should be.
        try:
            report = run_selftest(only=options["only"], tell=self.tell)
        finally:
            logging.disable(logging.NOTSET)
        folder: Path = options["output"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "selftest.pdf").write_bytes(draw(report))
        told = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
        replace_private_file(folder / "selftest.json", told + "\n")
        self.stdout.write(f"Written: {folder / 'selftest.pdf'} and selftest.json")
        if report.failures:
            raise CommandError(f"{report.failures} of {len(report.lines)} checks failed.")

    def tell(self, line: Line) -> None:
        outcome = line.outcome
        self.stdout.write(
            f"{outcome.verdict.value:<15} {line.check.title} ({line.seconds:.1f} s)\n"
            f"{'':<15} {outcome.sentence}"
        )
