"""How long an X-ray takes on this machine, from the first byte to the stored answer."""

from __future__ import annotations

import statistics
import time

from django.conf import settings

from portal.selftest.registry import Bench, Outcome, failed, passed, self_check
from portal.selftest.world import send
from screening.inference.models import Job, Result
from screening.inference.services import run_job

IMAGES = 5


@self_check(
    "latency",
    "An X-ray is answered in time",
    asvs=("V15.2",),
    hipaa=(),
    needs_scratch=True,
)
def answers_come_in_time(bench: Bench) -> Outcome:
    """One after the other, in this process; the portal's workers do several at once."""
    took, world = [], bench.scratch
    for number in range(IMAGES):
        started = time.perf_counter()
        image = send(world.people["clinician"], world.patient, seed=200 + number)
        run_job(Job.objects.get(image=image).pk)
        if not Result.objects.filter(image=image).exists():
            return failed("A picture got no answer.")
        took.append((time.perf_counter() - started) * 1000)
    middle, worst = statistics.median(took), max(took)
    figures = {"images": IMAGES, "median_ms": round(middle), "slowest_ms": round(worst)}
    limit = settings.INFERENCE_SOFT_LIMIT_S
    if worst > limit * 1000:
        return failed(
            f"The slowest took {worst / 1000:.1f} s; the limit is {limit:g} s.", **figures
        )
    return passed(
        f"{middle:.0f} ms in the middle, {worst:.0f} ms at worst, from file to stored answer.",
        **figures,
    )
