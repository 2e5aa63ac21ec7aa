"""Files that nobody sends in good faith, through the real intake of the scratch portal."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from django.conf import settings

from portal.selftest.corpus import hostile_files
from portal.selftest.registry import Bench, Outcome, failed, passed, self_check
from screening.core.errors import PortalError
from screening.studies.models import Image
from screening.studies.services import receive_image


@self_check(
    "hostile-files",
    "Hostile files are refused with a reason and leave nothing behind",
    asvs=("V5.2", "V5.3", "V1.5", "V2.2"),
    hipaa=("164.312(c)(1)",),
    needs_scratch=True,
)
def hostile_files_are_refused(bench: Bench) -> Outcome:
    world, wrong, codes = bench.scratch, [], set()
    before = Image.objects.count(), _files()
    sent = 0
    for file in hostile_files():
        sent += 1
        try:
            receive_image(
                actor=world.people["clinician"],
                patient=world.patient,
                study_id=uuid4(),
                content=file.data,
                original_name=file.name,
            )
        except PortalError as refusal:
            codes.add(refusal.code)
        except Exception as fault:  # a fault of ours is what is looked for
            wrong.append(f"{file.about}: {type(fault).__name__}")
        else:
            wrong.append(f"{file.about}: taken in")
    if (Image.objects.count(), _files()) != before:
        wrong.append("something was left behind")
    if wrong:
        return failed("; ".join(wrong), sent=sent, wrong=len(wrong))
    return passed(f"{sent} hostile files, each refused with a code.", sent=sent, codes=len(codes))


def _files() -> int:
    return sum(1 for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file())
