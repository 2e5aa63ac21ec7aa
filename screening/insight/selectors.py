"""The material of a dashboard: stored days, and the present one counted now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from screening.accounts.models import Site, User
from screening.insight.counting import Counts
from screening.insight.figure import Material
from screening.insight.models import DailyFigures
from screening.insight.periods import BY_DAY_UP_TO, Bucket, Span, by_day, by_week
from screening.insight.rollup import count_day, today_at
from screening.reading.blind_first import hidden_since

REFERENCE_RESULTS = 200
REFERENCE_WEEKS = 4
LONGEST_REFERENCE = 182
"""Days."""


def material(user: User, site: Site, span: Span, reference: Span | None) -> Material:
    """What the figures of ``span`` are made from; see ``default_reference`` for the other."""
    days = _stored(user, site, span)
    today = today_at(site)
    may_tell = site.pk not in hidden_since({site.pk})
    if today in span:
        now = count_day(site, today)
        if not may_tell:
            # Watched from study to study, the present day would tell what each answer is.
            now.labels.clear()
            now.models.clear()
            now.shares.clear()
            now.doubts.clear()
        days[today] = now
    known = _stored(user, site, reference) if reference else {}
    is_short = len(span.days) <= BY_DAY_UP_TO
    weeks = _together(by_week(span), days)
    return Material(
        steps=_together(by_day(span), days) if is_short else weeks,
        weeks=weeks,
        total=Counts.total(days.values()),
        reference=Counts.total(known.values()),
        may_tell=may_tell,
        by_day=is_short,
    )


def default_reference(user: User, site: Site) -> Span | None:
    """The site's first weeks: four at least, and until 200 results are in them."""
    rows = DailyFigures.objects.visible_to(user).filter(site=site)
    first: date | None = None
    results = 0
    for day, counts in rows.order_by("day").values_list("day", "counts").iterator():
        found = sum(counts.get("labels", {}).values())
        if first is None:
            if not found:
                continue
            first = day
        results += found
        length = (day - first).days + 1
        enough = results >= REFERENCE_RESULTS and length >= 7 * REFERENCE_WEEKS
        if enough or length >= LONGEST_REFERENCE:
            return Span(first, day)
    return Span(first, first + timedelta(days=LONGEST_REFERENCE)) if first else None


def days_not_counted(user: User, site: Site, span: Span, since: date | None) -> int:
    """How many past days of the span the scheduler has still to count."""
    if since is None:
        return 0
    first, last = max(span.first, since), min(span.last, today_at(site) - timedelta(days=1))
    if first > last:
        return 0
    stored = DailyFigures.objects.visible_to(user).filter(site=site, day__gte=first, day__lte=last)
    return (last - first).days + 1 - stored.count()


def _stored(user: User, site: Site, span: Span) -> dict[date, Counts]:
    rows = DailyFigures.objects.visible_to(user).filter(
        site=site, day__gte=span.first, day__lte=span.last
    )
    return {day: Counts.from_json(counts) for day, counts in rows.values_list("day", "counts")}


def _together(buckets: Sequence[Bucket], days: dict[date, Counts]) -> list[tuple[Bucket, Counts]]:
    return [
        (bucket, Counts.total(days[day] for day in bucket.days if day in days))
        for bucket in buckets
    ]
