"""Keeping the daily figures: run by the scheduler, a few seconds at a time.

Pages read one row a day and count only the present day themselves, so a dashboard costs the same
with a thousand studies behind it and with a million.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from datetime import time as clock
from uuid import UUID

from django.core.files.storage import default_storage
from django.utils import timezone

from screening.accounts.models import Site
from screening.accounts.preferences import zone_of_site
from screening.insight.counting import Counts, count
from screening.insight.measuring import measure
from screening.insight.models import DailyFigures, ImageStatistics
from screening.reading.models import Reading
from screening.studies.models import Image, Status, Study

logger = logging.getLogger(__name__)

BUDGET_S = 5.0
"""A worker that counts reads no X-rays meanwhile."""
SETTLES_AFTER = timedelta(days=7)
"""For so long after a day its studies are still retried, read and measured."""
AGAIN_AFTER = timedelta(hours=1)
MEASURED_BACK = timedelta(days=90)
"""Older images are not measured when the portal learns to: the drift of last year helps nobody."""
AT_ONCE = 50


def bounds(site: Site, day: date) -> tuple[datetime, datetime]:
    """When the site's day begins, and when the next one does."""
    zone = zone_of_site(site)
    start, end = (
        datetime.combine(one, clock.min, tzinfo=zone) for one in (day, day + timedelta(days=1))
    )
    return start, end


def today_at(site: Site) -> date:
    return timezone.localdate(timezone=zone_of_site(site))


def count_day(site: Site, day: date) -> Counts:
    """Count one day of a site now."""
    return count(site.pk, *bounds(site, day))


def roll_up(*, budget_s: float = BUDGET_S) -> int:
    """Measure new images and count days that are new or may have changed; return how many days.

    Stops after ``budget_s`` seconds; the next run goes on, since what is stored says what is done.
    """
    deadline = time.monotonic() + budget_s
    done = 0
    for site in Site.objects.all():
        _measure_new(site, deadline)
        for day in _days_to_count(site):
            if time.monotonic() > deadline:
                return done
            store_day(site, day)
            done += 1
    return done


def store_day(site: Site, day: date) -> None:
    counts = count_day(site, day)
    DailyFigures.objects.update_or_create(
        site=site, day=day, defaults={"counts": counts.to_json(), "counted_at": timezone.now()}
    )


def _measure_new(site: Site, deadline: float) -> None:
    while time.monotonic() < deadline:
        waiting = Image.objects.filter(
            study__site=site,
            study__created_at__gte=timezone.now() - MEASURED_BACK,
            status=Status.DONE,
            statistics__isnull=True,
        ).order_by("-study__created_at")[:AT_ONCE]
        rows = [_measured(pk, display) for pk, display in waiting.values_list("pk", "display")]
        ImageStatistics.objects.bulk_create(rows, ignore_conflicts=True)
        if len(rows) < AT_ONCE:
            return


def _measured(image_id: UUID, display: str) -> ImageStatistics:
    try:
        with default_storage.open(display, "rb") as content:
            found = measure(content)
    except OSError:
        logger.warning("image %s could not be measured", image_id)
        return ImageStatistics(image_id=image_id)
    return ImageStatistics(
        image_id=image_id,
        mean_grey=found.mean_grey,
        contrast=found.contrast,
        sharpness=found.sharpness,
    )


def _days_to_count(site: Site) -> Iterator[date]:
    """Yesterday first, then what else may have changed, then what was never counted."""
    today = today_at(site)
    oldest = Study.objects.filter(site=site).order_by("created_at", "id").first()
    if oldest is None:
        return
    begin = timezone.localdate(oldest.created_at, zone_of_site(site))
    counted = dict(
        DailyFigures.objects.filter(site=site, day__gte=begin).values_list("day", "counted_at")
    )
    stale = timezone.now() - AGAIN_AFTER
    recent = {today - timedelta(days=back) for back in range(1, SETTLES_AFTER.days + 1)}
    touched = recent | _days_with_new_readings(site, stale)
    days = [begin + timedelta(days=n) for n in range((today - begin).days)]
    for day in reversed(days):
        if day not in counted or (day in touched and counted[day] <= stale):
            yield day


def _days_with_new_readings(site: Site, stale: datetime) -> set[date]:
    """The days of studies that were signed lately; their figures may be older than that."""
    signed = Reading.objects.signed().filter(site=site, signed_at__gt=stale - AGAIN_AFTER)
    zone = zone_of_site(site)
    return {
        timezone.localdate(moment, zone)
        for moment in signed.order_by().values_list("study__created_at", flat=True)
    }
