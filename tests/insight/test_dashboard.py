"""The dashboard: what an administrator reads from it, and what it keeps to itself."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from screening.accounts.models import Site, User
from screening.accounts.services.preferences import set_preferences
from screening.audit.models import Event
from screening.insight.figures import FIGURES
from screening.insight.models import DailyFigures
from screening.reading.blind_first import set_blind_first
from screening.studies.models import Image
from tests.insight.conftest import MakeDay
from tests.personas import ClientOf

PAGE = "/site/dashboard/"


def page(client: Any, **query: Any) -> str:
    response = client.get(PAGE, query)
    assert response.status_code == 200
    return str(response.content.decode())


def numbers(client: Any, figure: str, **query: Any) -> list[dict[str, str]]:
    response = client.get("/site/dashboard.csv", {"figure": figure, **query})
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def test_today_is_counted_as_it_goes(
    day_of_north: list[Image], admin_a: User, admin_b: User, client_of: ClientOf
) -> None:
    today = timezone.localdate().isoformat()
    rows = numbers(client_of(admin_a), "studies", first=today, last=today)
    assert rows == [{"day": today, "studies": "5", "images": "5"}]
    assert numbers(client_of(admin_b), "studies", first=today, last=today)[0]["studies"] == "0"
    reasons = numbers(client_of(admin_a), "reasons", first=today, last=today)
    assert {(row["code"], row["images"]) for row in reasons} == {
        ("no_lungs", "1"),
        ("timed_out", "1"),
    }
    assert "No lungs found" in page(client_of(admin_a))


def test_weeks_are_the_sum_of_their_days(
    make_day: MakeDay, admin_a: User, client_of: ClientOf
) -> None:
    for ago in range(1, 15):
        make_day(ago, answers=10)
    today = timezone.localdate()
    first = today - dt.timedelta(days=60)
    rows = numbers(client_of(admin_a), "classes", first=first, last=today)
    assert sum(int(row["normal"] or 0) for row in rows) == 140
    assert all(dt.date.fromisoformat(row["week_of"]).weekday() == 0 for row in rows)


def test_drift_raises_one_calm_line(make_day: MakeDay, admin_a: User, client_of: ClientOf) -> None:
    for ago in range(20, 60):
        make_day(ago)
    client = client_of(admin_a)
    assert "Nothing drifts beyond its limit." in page(client)
    for ago in range(1, 14):
        make_day(ago, share=0.95)
    shown = page(client)
    assert "The probabilities of COVID-19 have moved away" in shown
    assert "Nothing drifts" not in shown
    assert "The images have changed" not in shown


def test_another_export_format_is_drift_of_images(
    make_day: MakeDay, admin_a: User, client_of: ClientOf
) -> None:
    for ago in range(20, 60):
        make_day(ago, dicom=20)
    for ago in range(1, 14):
        make_day(ago, jpeg=20)
    assert "The images have changed in File type" in page(client_of(admin_a))


def test_films_unlike_those_learnt_from_raise_a_line(
    make_day: MakeDay, admin_a: User, client_of: ClientOf
) -> None:
    client = client_of(admin_a)
    usual = {"uncertain": 2, "unreliable": 3}
    for ago in range(15, 40):
        make_day(ago, doubts=usual)
    shown = page(client)
    assert "10.0\xa0% uncertain, 15.0\xa0% unreliable, 0.0\xa0% unfamiliar." in shown
    assert "Nothing drifts beyond its limit." in shown
    for ago in range(1, 15):
        make_day(ago, doubts={**usual, "unfamiliar": 3})
    assert "Many films are unlike those that the model learnt from" in page(client)
    weeks = [row for row in numbers(client, "doubts") if row["unfamiliar"]]
    assert float(weeks[-1]["unfamiliar"]) == 0.15
    assert int(weeks[-1]["answers"]) % 20 == 0


def test_days_counted_before_doubts_were_say_nothing_of_them(
    make_day: MakeDay, admin_a: User, client_of: ClientOf
) -> None:
    make_day(3)
    assert "– uncertain, – unreliable, – unfamiliar." in page(client_of(admin_a))
    assert {row["uncertain"] for row in numbers(client_of(admin_a), "doubts")} == {""}


def test_the_reference_can_be_chosen(make_day: MakeDay, admin_a: User, client_of: ClientOf) -> None:
    for ago in range(1, 60):
        make_day(ago, share=0.95 if ago < 14 else 0.05)
    today = timezone.localdate()
    chosen = {
        "reference_first": today - dt.timedelta(days=10),
        "reference_last": today,
        "first": today - dt.timedelta(days=13),
        "last": today,
    }
    assert "Nothing drifts beyond its limit." in page(client_of(admin_a), **chosen)


def test_a_site_that_reads_blind_first_tells_no_single_answer(
    day_of_north: list[Image],
    make_day: MakeDay,
    north: Site,
    admin_a: User,
    client_of: ClientOf,
) -> None:
    today = timezone.localdate()
    monday = today - dt.timedelta(days=today.weekday())
    make_day((today - monday).days + 3, answers=3, doubts={"uncertain": 1})
    make_day((today - monday).days + 10, answers=12, doubts={"uncertain": 3})
    span = {"first": monday - dt.timedelta(days=14), "last": today}
    client = client_of(admin_a)
    before = numbers(client, "classes", **span)
    assert [row["normal"] for row in before] == ["12", "3", "1"]
    set_blind_first(actor=admin_a, site=north, is_on=True)
    after = numbers(client, "classes", **span)
    assert [row["normal"] for row in after] == ["12", "", ""]
    doubts = numbers(client, "doubts", **span)
    assert [row["uncertain"] for row in doubts] == ["0.25", "", ""]
    assert "reads blind first" in page(client)


@pytest.mark.parametrize("language", ["en-gb", "de"])
def test_every_picture_is_sound_and_says_what_it_shows(
    language: str, make_day: MakeDay, admin_a: User, client_of: ClientOf
) -> None:
    for ago in range(1, 40):
        make_day(ago, share=0.4)
    set_preferences(user=admin_a, language=language, time_zone="")
    shown = page(client_of(admin_a))
    pictures = re.findall(r'<svg class="chart" .*?</svg>', shown, re.S)
    assert len(pictures) == len(FIGURES)
    for text in pictures:
        drawing = ElementTree.fromstring(text)  # noqa: S314  (our own)
        ids = (drawing.get("aria-labelledby") or "").split()
        said = [drawing.find(f"*[@id='{one}']") for one in ids]
        assert all(one is not None and one.text for one in said)
        for part in drawing.iter():
            assert "style" not in part.attrib
            for name in ("x", "y", "x1", "y1", "width", "height", "cx", "cy"):
                float(part.get(name, "0"))  # No decimal comma, whatever the language.


def test_a_dashboard_costs_the_same_with_more_days(
    make_day: MakeDay,
    admin_a: User,
    client_of: ClientOf,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    client = client_of(admin_a)
    for ago in range(1, 100):
        make_day(ago, answers=1000)
    with django_assert_max_num_queries(22):
        page(client)


def test_days_that_are_missing_are_spoken_of(
    day_of_north: list[Image], admin_a: User, client_of: ClientOf
) -> None:
    from tests.insight.conftest import move

    move(day_of_north[0], 5)
    assert "5 days are still being counted" in page(client_of(admin_a))
    assert DailyFigures.objects.count() == 0


@pytest.mark.parametrize(
    "query",
    [
        {"first": "2026-02-01", "last": "2026-01-01"},
        {"first": "nonsense"},
        {"first": "0001-01-01"},
        {"first": "1950-01-01", "last": "2026-01-01"},
        {"last": "9999-12-31"},
    ],
)
def test_a_period_that_makes_no_sense_is_refused(
    query: dict[str, str], admin_a: User, client_of: ClientOf
) -> None:
    client = client_of(admin_a)
    assert "field-error" in page(client, **query)
    response = client.get("/site/dashboard.csv", {"figure": "studies", **query})
    assert response.status_code == 422


def test_an_unknown_figure_does_not_exist(admin_a: User, client_of: ClientOf) -> None:
    assert client_of(admin_a).get("/site/dashboard.csv?figure=secrets").status_code == 404


def test_looking_and_exporting_are_written_down(admin_a: User, client_of: ClientOf) -> None:
    client = client_of(admin_a)
    page(client)
    numbers(client, "waits")
    found = Event.objects.filter(action__startswith="dashboard.").values_list("action", "detail")
    assert list(found.order_by("pk")) == [
        ("dashboard.view", {}),
        ("dashboard.export", {"figure": "waits"}),
    ]
