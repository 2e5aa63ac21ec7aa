"""Counting the studies of one day at one site, in a form that adds up over days.

Times and greys are kept as histograms with fixed bins: quantiles of a month can be read from the
sum of its days, without any single study being kept or read again.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from screening.inference.models import Job, Label, Result
from screening.insight.models import ImageStatistics
from screening.reading.models import Reading, Stance
from screening.studies.models import Image, Status, Study

# Upper edges in seconds, each a sixth above the one before: a quantile is exact to about 8 %.
WAIT_EDGES = tuple(0.1 * (7 / 6) ** step for step in range(96))
ANSWERS = "answers"
"""Among doubts: the answers that say how far they can be trusted."""
SHARE_EDGES = tuple(step / 10 for step in range(1, 10))
EDGES: dict[str, tuple[float, ...]] = {
    "mean_grey": tuple(step / 20 for step in range(3, 17)),
    "contrast": tuple(step / 40 for step in range(3, 15)),
    "sharpness": tuple(0.02 * 1.25**step for step in range(12)),
    "megapixels": tuple(0.25 * 2 ** (step / 2) for step in range(12)),
}


@dataclass
class Counts:
    """What happened to the studies of one day, or of several days added up.

    ``waits`` are the seconds from arrival to result by ``WAIT_EDGES``; ``shares`` the
    probabilities of each class by ``SHARE_EDGES``; ``looks`` the image statistics by ``EDGES``;
    ``sums`` their totals, for means. Keys of histograms are the numbers of the bins. ``doubts``
    counts, among the ``answers`` that say how far they can be trusted, those that are uncertain,
    those that are unreliable, and those with a caution, by its code.
    """

    studies: int = 0
    images: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    stances: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    shares: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)
    looks: Counter[str] = field(default_factory=Counter)
    sums: Any = field(default_factory=Counter)  # a counter of floats

    def to_json(self) -> dict[str, Any]:
        return {
            one.name: value if isinstance(value, int) else dict(value)
            for one in fields(self)
            if (value := getattr(self, one.name))
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Counts:
        known = {one.name for one in fields(cls)}
        values: dict[str, Any] = {
            name: Counter(value) if isinstance(value, dict) else value
            for name, value in stored.items()
            if name in known
        }
        return cls(**values)

    @classmethod
    def total(cls, parts: Iterable[Counts]) -> Counts:
        whole = cls()
        for part in parts:
            whole.studies += part.studies
            whole.images += part.images
            for one in fields(cls):
                mine = getattr(whole, one.name)
                if isinstance(mine, Counter):
                    mine.update(getattr(part, one.name))
        return whole

    @property
    def results(self) -> int:
        return sum(self.labels.values())

    def histogram(self, kind: str, name: str, bins: int) -> list[int]:
        """The counts of one histogram of ``shares`` or ``looks``, bin by bin."""
        counter = getattr(self, kind)
        return [int(counter[f"{name}:{number}"]) for number in range(bins)]

    def mean(self, name: str) -> float | None:
        number = self.sums[f"{name}:n"]
        return self.sums[name] / number if number else None

    def wait_quantile(self, share: float) -> float | None:
        """Seconds within which ``share`` of the results were there, read from the histogram."""
        return quantile([self.waits[str(n)] for n in range(len(WAIT_EDGES) + 1)], share)


def quantile(histogram: list[int], share: float) -> float | None:
    """The quantile by interpolation within its bin of ``WAIT_EDGES``; ``None`` of nothing."""
    total = sum(histogram)
    if not total:
        return None
    wanted, seen = share * total, 0.0
    for number, count in enumerate(histogram):
        if count and seen + count >= wanted:
            low = WAIT_EDGES[number - 1] if number else 0.0
            high = WAIT_EDGES[number] if number < len(WAIT_EDGES) else low
            return low + (high - low) * (wanted - seen) / count
        seen += count
    return WAIT_EDGES[-1]


def bin_of(value: float, edges: tuple[float, ...]) -> int:
    return bisect.bisect_right(edges, value)


def count(site_id: UUID, start: datetime, end: datetime) -> Counts:
    """Count the studies that arrived at the site from ``start`` until before ``end``."""
    when = {"study__site": site_id, "study__created_at__gte": start, "study__created_at__lt": end}
    counts = Counts()
    counts.studies = Study.objects.filter(
        site=site_id, created_at__gte=start, created_at__lt=end
    ).count()
    if not counts.studies:
        return counts
    arrived = _count_images(counts, when)
    _count_results(counts, when, arrived)
    _count_looks(counts, when)
    readings = Reading.objects.signed().filter(of_record=True, **when)
    counts.stances.update(readings.order_by().values_list("stance", flat=True))
    return counts


def _count_images(counts: Counts, when: dict[str, Any]) -> dict[UUID, datetime]:
    arrived = {}
    images = Image.objects.filter(**when).order_by()
    for pk, status, created_at in images.values_list("pk", "status", "created_at"):
        arrived[pk] = created_at
        counts.images += 1
        counts.statuses[status] += 1
    jobs = Job.objects.filter(**{f"image__{name}": value for name, value in when.items()})
    ended = jobs.filter(status__in=(Status.FAILED, Status.REFUSED)).order_by()
    for status, code in ended.values_list("status", "code"):
        reasons = counts.refusals if status == Status.REFUSED else counts.failures
        reasons[code or "unknown"] += 1
    return arrived


def _count_results(counts: Counts, when: dict[str, Any], arrived: dict[UUID, datetime]) -> None:
    results = Result.objects.filter(**{f"image__{name}": value for name, value in when.items()})
    first: dict[UUID, datetime] = {}
    newest: dict[UUID, tuple[Any, ...]] = {}
    for image, created_at, *answer in results.order_by("created_at").values_list(
        "image_id",
        "created_at",
        "label",
        "p_covid",
        "p_pneumonia",
        "p_normal",
        "model_version__name",
        "model_version__version",
        "evidence__uncertain",
        "evidence__shortcut__verdict",
        "evidence__caution__code",
    ):
        first.setdefault(image, created_at)
        newest[image] = tuple(answer)
    for image, created_at in first.items():
        waited = max((created_at - arrived.get(image, created_at)).total_seconds(), 0.0)
        counts.waits[str(bin_of(waited, WAIT_EDGES))] += 1
    for label, covid, pneumonia, normal, model, version, *doubts in newest.values():
        counts.labels[label] += 1
        _count_doubts(counts, *doubts)
        counts.models[f"{model} {version}"] += 1
        for name, share in zip(
            (Label.COVID, Label.PNEUMONIA, Label.NORMAL), (covid, pneumonia, normal), strict=True
        ):
            counts.shares[f"{name.value}:{bin_of(share, SHARE_EDGES)}"] += 1
            counts.sums[name.value] += share
            counts.sums[f"{name.value}:n"] += 1


def _count_doubts(
    counts: Counts, uncertain: bool | None, verdict: str | None, caution: str | None
) -> None:
    if uncertain is None:  # A model that says nothing of the kind.
        return
    counts.doubts[ANSWERS] += 1
    if uncertain:
        counts.doubts["uncertain"] += 1
    if verdict == "unreliable":
        counts.doubts["unreliable"] += 1
    if caution:
        counts.doubts[caution] += 1


def _count_looks(counts: Counts, when: dict[str, Any]) -> None:
    found = ImageStatistics.objects.filter(
        **{f"image__{name}": value for name, value in when.items()}
    )
    for mean_grey, contrast, sharpness, width, height, kind in found.values_list(
        "mean_grey", "contrast", "sharpness", "image__width", "image__height", "image__format"
    ):
        counts.formats[kind] += 1
        looks = {
            "mean_grey": mean_grey,
            "contrast": contrast,
            "sharpness": sharpness,
            "megapixels": width * height / 1e6,
        }
        for name, value in looks.items():
            if value is not None:
                counts.looks[f"{name}:{bin_of(value, EDGES[name])}"] += 1
                counts.sums[name] += value
                counts.sums[f"{name}:n"] += 1


def overrides(counts: Counts) -> tuple[int, int]:
    """How many signed readings overrode the AI, and how many had an answer beside them."""
    over = counts.stances[Stance.OVERRIDES]
    return over, over + counts.stances[Stance.AGREES]
