#!/usr/bin/env python3
"""Does the audit stay searchable with ten million events? ``python bench/audit.py``.

Starts a PostgreSQL of its own in a temporary folder, fills it with chained events of four sites
(300 people, 200,000 patients), and measures as a signed-in administrator: each search of
the page, first and deep, the first byte of the exports, one recorded event with all its indexes,
and the verification of one chain. ``--writers`` measures what chaining costs when many record at
the same site at once. PostgreSQL must be installed; ten million events take some 13 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SITES, PEOPLE, PATIENTS = 4, 300, 200_000
AT_ONCE = 500_000
APART_S = 3.15  # Ten million in about a year.
ACTIONS = (
    *(["study.view"] * 25),
    *(["image.view"] * 40),
    *(["patient.view"] * 12),
    *(["worklist.list"] * 12),
    *(["reading.sign"] * 4),
    *(["report.issue"] * 3),
    *(["session.start"] * 3),
    "access.deny",
)
RARE = "user.set_role"  # One in a hundred thousand.


def fill(count: int) -> dict[str, Any]:
    """Chained events, the newest a moment ago; returns whom and what to search for."""
    from django.db import connection

    from screening.accounts.models import Membership, Site, User
    from screening.audit import triggers
    from screening.patients.models import Patient

    sites = [Site.objects.create(name=f"Hospital {n}") for n in range(SITES)]
    people = [
        User(username=f"reader{number}", email=f"r{number}@example.org") for number in range(PEOPLE)
    ]
    User.objects.bulk_create(people)
    Membership.objects.bulk_create(
        Membership(user=user, site=sites[n % SITES], role="admin" if n < SITES else "clinician")
        for n, user in enumerate(people)
    )
    start = datetime.now(UTC) - timedelta(seconds=APART_S * count)
    triggers.drop(connection)
    triggers.drop_chain(connection)
    with connection.cursor() as cursor:
        cursor.execute("SELECT md5('patient' || 4)::uuid")
        patient = Patient.objects.create(
            id=cursor.fetchone()[0], site=sites[0], mrn="B-4", family_name="Bench"
        )
        cursor.execute(
            "SELECT indexdef, indexname FROM pg_indexes WHERE tablename = 'audit_event' "
            "AND indexname <> 'audit_event_pkey'"
        )
        indexes = cursor.fetchall()
        for _, name in indexes:
            cursor.execute(f"DROP INDEX {name}")
        cursor.execute(
            "CREATE TEMP TABLE bench_people AS "
            "SELECT row_number() OVER (ORDER BY length(username), username) - 1 AS which, "
            "u.id AS user_id, username, site_id FROM accounts_user u "
            "JOIN accounts_membership m ON m.user_id = u.id"
        )
        for first in range(1, count + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, count)
            cursor.execute(EVENTS, {"first": first, "last": last, "start": start})
        cursor.execute(CHAIN)
        cursor.execute("SET maintenance_work_mem = '512MB'")
        for definition, _ in indexes:
            cursor.execute(definition)
        cursor.execute("SELECT setval('audit_event_id_seq', %s)", [count])
        cursor.execute("VACUUM ANALYZE")
    triggers.install(connection)
    return {"admin": people[0], "reader": people[SITES], "patient": patient, "start": start}


# The canonical form of each event is put together here a second time; the verification at the
# end would notice a difference.
EVENTS = f"""
WITH drawn AS (
    SELECT n,
        hashint8extended(n, 1) & 1073741823 AS one,
        hashint8extended(n, 2) & 1073741823 AS two,
        hashint8extended(n, 3) & 1073741823 AS three
    FROM generate_series(%(first)s, %(last)s) n
), chosen AS (
    SELECT n, p.*, three %% {PATIENTS // SITES} * {SITES} + which %% {SITES} AS about,
        CASE WHEN n %% 100000 = 0 THEN '{RARE}'
            ELSE (ARRAY[{", ".join(f"'{action}'" for action in ACTIONS)}])[1 + two %% 100]
        END AS action
    FROM drawn JOIN bench_people p ON p.which = one %% {PEOPLE}
), told AS (
    SELECT n, user_id, username, site_id, action,
        md5('event' || n)::uuid AS uuid,
        %(start)s::timestamptz + n * interval '{APART_S} seconds' AS at,
        split_part(action, '.', 1) AS kind,
        (CASE split_part(action, '.', 1) WHEN 'patient' THEN md5('patient' || about)
            ELSE md5('object' || n / 3) END)::uuid::text AS object_id,
        CASE WHEN split_part(action, '.', 1) IN ('study', 'image', 'patient')
            THEN md5('patient' || about)::uuid END AS patient_id,
        CASE action WHEN 'access.deny' THEN 'denied' ELSE 'ok' END AS outcome,
        md5('request' || n / 2) AS request_id,
        CASE action WHEN 'image.view' THEN '{{"rendition":"display"}}' ELSE '{{}}' END AS detail
    FROM chosen
)
INSERT INTO audit_event (id, uuid, at, site_id, actor_id, actor_name, action, object_type,
    object_id, patient_id, outcome, request_id, remote_addr, detail, digest)
SELECT n, uuid, at, site_id, user_id, username, action, kind, object_id, patient_id, outcome,
    request_id, '192.0.2.7', detail::jsonb,
    encode(sha256(convert_to(
        '[1,"' || uuid || '","'
        || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || '+00:00","'
        || site_id || '","' || user_id || '","' || username || '",null,null,"'
        || action || '","' || kind || '","' || object_id || '",'
        || coalesce('"' || patient_id || '"', 'null') || ',"' || outcome || '","'
        || request_id || '","c0000207",' || detail || ']', 'UTF8')), 'hex')
FROM told ORDER BY n
"""  # noqa: S608
CHAIN = """
DO $$
DECLARE
    event record;
    place bigint;
    last text;
    current text;
    head record;
BEGIN
    FOR head IN SELECT id AS site FROM accounts_site LOOP
        place := 0;
        last := repeat('0', 64);
        FOR event IN SELECT id, digest FROM audit_event WHERE site_id = head.site ORDER BY id LOOP
            place := place + 1;
            current := encode(sha256(convert_to(last || event.digest, 'UTF8')), 'hex');
            INSERT INTO audit_link (event_id, chain, sequence, previous, hash)
            VALUES (event.id, head.site, place, last, current);
            last := current;
        END LOOP;
    END LOOP;
END $$
"""


def pages(found: dict[str, Any], count: int) -> dict[str, Callable[[], str]]:
    """What is asked for, by its name."""
    from screening.audit.models import Event

    chance = random.Random(3)
    place = Event.objects.filter(site_id=found["patient"].site_id)
    object_id = place.filter(action="study.view", pk__gt=count // 2).order_by("pk")[0].object_id
    request_id = place.filter(pk__gt=count // 2).order_by("pk")[0].request_id
    days = APART_S * count / 86400

    def deep() -> int:
        return chance.randrange(count // 10, count // 2)

    def span() -> str:
        day = found["start"] + timedelta(days=chance.uniform(0.1, 0.8) * days)
        last = day + timedelta(days=max(days / 50, 1))
        return f"since={day.date()}&until={last.date()}"

    reader = found["reader"].username
    return {
        "first page": lambda: "",
        "deep page": lambda: f"before={deep()}",
        "by object": lambda: f"object={object_id}",
        "by patient (MRN)": lambda: "mrn=B-4",
        "by person": lambda: f"who={reader}",
        "by person, deep": lambda: f"who={reader}&before={deep()}",
        "by request": lambda: f"request={request_id}",
        "by action": lambda: "action=report.issue",
        "by a group of actions, deep": lambda: f"action=read&before={deep()}",
        "by a rare action": lambda: f"action={RARE}",
        "denied": lambda: "outcome=denied",
        "denied, deep": lambda: f"outcome=denied&before={deep()}",
        "by days": span,
        "by days and action": lambda: f"{span()}&action=reading.sign",
        "by days and person": lambda: f"{span()}&who={reader}",
    }


def measure(found: dict[str, Any], count: int, requests: int) -> list[dict[str, Any]]:
    from django.test import Client

    client = Client(raise_request_exception=True)
    client.force_login(found["admin"])
    session = client.session
    session["second_factor"] = {"user": str(found["admin"].pk), "kind": "totp"}
    session.save()
    rows: list[dict[str, Any]] = []
    for name, query in pages(found, count).items():
        times = []
        shown = 0
        for turn in range(requests + 2):
            address = f"/site/audit/?{query()}"
            started = time.perf_counter()
            page = client.get(address)
            seconds = time.perf_counter() - started
            assert page.status_code == 200, (address, page.status_code)
            shown = page.content.count(b"data-event=")
            if turn >= 2:  # The first few warm caches up.
                times.append(seconds)
        rows.append(figures(name, times, shown=shown))
    for kind in ("csv", "jsonl"):
        times = []
        for _ in range(requests):
            started = time.perf_counter()
            response: Any = client.get(f"/site/audit/export/?format={kind}")
            chunks = iter(response.streaming_content)
            next(chunks)
            next(chunks)
            times.append(time.perf_counter() - started)
            response.close()
        rows.append(figures(f"first lines of the {kind} export", times))
    return rows


def figures(name: str, times: list[float], **more: Any) -> dict[str, Any]:
    ordered = sorted(times)
    row = {
        "what": name,
        "p50_ms": round(1000 * statistics.median(ordered), 1),
        "p95_ms": round(1000 * ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)], 1),
        **more,
    }
    print(f"{name:<34}{row['p50_ms']:>9}{row['p95_ms']:>9}   {more.get('shown', '')}", flush=True)
    return row


def verify(found: dict[str, Any]) -> dict[str, Any]:
    """Read one chain from its first event; also how long the search for strangers takes."""
    from screening.audit.verification import Place, verify_chain, verify_no_strangers

    started, cpu, events = time.monotonic(), time.process_time(), 0
    for step in verify_chain(found["patient"].site_id, Place(), {}):
        assert step.finding is None, step.finding
        events += step.events
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    again = time.monotonic()
    assert all(finding is None for _, finding in verify_no_strangers(0))
    strangers = time.monotonic() - again
    row = {
        "what": "verify one chain",
        "events": events,
        "seconds": round(seconds, 1),
        "a_second": int(events / seconds),
        "a_second_of_its_processor_time": int(events / cpu),
        "strangers_s": round(strangers, 1),
    }
    print(row, flush=True)
    return row


def writers(count: int, acts: int, *, with_chain: bool) -> dict[str, Any]:
    """``count`` connections record at one site, each act in a transaction of its own."""
    from django.db import connection

    from screening.accounts.models import Site
    from screening.audit import triggers
    from screening.audit.services import record

    site = Site.objects.order_by("name")[0]
    if not with_chain:
        triggers.drop_chain(connection)
    times: list[float] = []
    waiting = threading.Barrier(count + 1)

    def write() -> None:
        connection.ensure_connection()
        waiting.wait()
        for _ in range(acts):
            started = time.perf_counter()
            record("site.create", site, site_id=site.pk)
            times.append(time.perf_counter() - started)
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(count)]
    for thread in threads:
        thread.start()
    waiting.wait()
    started = time.monotonic()
    for thread in threads:
        thread.join()
    rate = int(count * acts / (time.monotonic() - started))
    if not with_chain:
        triggers.install(connection)
    name = f"{count} writers, {'chained' if with_chain else 'not chained'}"
    return figures(name, times, shown=f"{rate} a second")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=30, help="of each search")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--acts", type=int, default=250, help="of each writer")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    from tests.servers import private_postgres

    with tempfile.TemporaryDirectory(prefix="bench-audit-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o711)  # The database runs as another user and has to pass through.
        with private_postgres(folder) as url:
            os.environ |= {
                "DJANGO_SETTINGS_MODULE": "portal.settings.test",
                "TEST_SHAPE": "server",
                "TEST_DATABASE_URL": url,
                "TEST_REDIS_URL": "redis://127.0.0.1:1/0",  # Nothing is sent to a worker.
                "TEST_RUN_DIR": str(folder / "run"),
            }
            import django

            django.setup()
            from django.core.management import call_command
            from django.db import connection

            call_command("migrate", verbosity=0)
            started = time.monotonic()
            found = fill(options.events)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_database_size(current_database())")
                megabytes = cursor.fetchone()[0] // 2**20
            print(
                f"{options.events:,} events, {megabytes:,} MB, "
                f"filled in {time.monotonic() - started:.0f} s\n"
            )
            print(f"{'milliseconds':<34}{'p50':>9}{'p95':>9}   rows")
            rows = measure(found, options.events, options.requests)
            rows.append(verify(found))
            for count in (1, options.writers):
                for with_chain in (False, True, False, True):
                    rows.append(writers(count, options.acts, with_chain=with_chain))
            connection.close()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
