"""``manage.py verify_audit``: is the audit as it was written?"""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from screening.accounts.models import Site
from screening.audit.anchors import AnchorsUnreadable, read_anchors
from screening.audit.findings import Finding
from screening.audit.models import NO_SITE
from screening.audit.verification import (
    Place,
    run_check,
    start_check,
    verify_chain,
    verify_no_strangers,
)
from screening.oversight.watch import conclude


class Command(BaseCommand):
    help = (
        "Verifies the chain of every site against its events and against the anchors, and names "
        "the first event of each that was altered, removed, inserted or swapped. The exit status "
        "is 1 when anything is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", help="name or id of one site; 'none' for events of no site")
        parser.add_argument(
            "--quick", action="store_true", help="only what came since the last verification"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        if options["site"]:
            events, findings = self.one_chain(chain_named(options["site"]))
        else:
            check = start_check(full=not options["quick"])
            run_check(check)
            conclude(check)
            events, findings = check.events, [Finding.from_json(one) for one in check.findings]
        names = dict(Site.objects.values_list("pk", "name"))
        for finding in findings:
            where = names.get(finding.chain, "events of no site")
            self.stdout.write(f"{where} ({finding.chain}): {finding.sentence}")
        seconds = time.monotonic() - started
        rate = int(events / seconds) if seconds else 0
        self.stdout.write(f"{events} events in {seconds:.1f} s ({rate} a second).")
        if findings:
            raise CommandError("The audit is not as it was written.", returncode=1)
        self.stdout.write(self.style.SUCCESS("The audit is as it was written."))

    def one_chain(self, chain: UUID) -> tuple[int, list[Finding]]:
        """The events read, and what is wrong with them; nothing is kept of it."""
        try:
            anchors = read_anchors().get(chain, {})
        except AnchorsUnreadable as error:
            raise CommandError(f"The anchors cannot be read: {error}.") from None
        events = 0
        findings = []
        for step in verify_chain(chain, Place(), anchors):
            events += step.events
            if step.finding is not None:
                findings.append(step.finding)
        strangers = [found for _, found in verify_no_strangers(0) if found is not None]
        return events, findings + [found for found in strangers if found.chain == chain]


def chain_named(text: str) -> UUID:
    """The chain of the site with this name or id."""
    if text.lower() == "none":
        return NO_SITE
    try:
        wanted = {"pk": UUID(text)}
    except ValueError:
        site = Site.objects.filter(name__iexact=text).first()
    else:
        site = Site.objects.filter(**wanted).first()
    if site is None:
        raise CommandError(f"There is no site called {text!r}.")
    return site.pk
