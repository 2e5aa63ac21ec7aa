#!/usr/bin/env python3
"""Does the worklist stay fast with a million studies? ``python bench/worklist.py``.

Starts a PostgreSQL of its own in a temporary folder, fills one database with ten thousand unread
studies and one with a million, and asks both, by turns, for the same pages as a signed-in person
does (every middleware, query and template; no network). Prints the median and the 95th percentile
for each page and the ratio of the two sizes. Exit status 1 when a page of the worklist takes
twice as long with the larger one (``--limit``).

Turns are taken request by request, so that whatever else the machine does burdens both alike.
PostgreSQL must be installed. A million studies take some 3 GB of disk and a few minutes to fill.
``--row-security`` asks the larger database only, by turns with and without the database's own
limits on web requests, and fails when a page of the worklist takes a fifth longer with them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SIZES = (10_000, 1_000_000)
FLAGGED, FAILED, REFUSED = 10, 100, 50  # Every so many-th study.
READERS = 20

# Name, whether it belongs to the worklist, and the address that one request asks for.
PAGES: list[tuple[str, bool]] = [
    *(("worklist, " + page, True) for page in ("first page", "deep page", "backwards")),
    ("worklist, failed or refused", True),
    ("worklist, flagged, deep", True),
    ("worklist, nobody's", True),
    ("worklist, mine", True),
    ("worklist, one week", True),
    ("worklist, search by name", True),
    ("worklist, search by MRN", True),
    ("worklist, asked for news", True),
    ("worklist, API", True),
    ("home", False),
    *(("studies, " + page, False) for page in ("first page", "deep page", "one class")),
    ("notifications", False),
]


# --- Filling -------------------------------------------------------------------------------------


def copy_rows(model: Any, template: Any, count: int, **columns: str) -> None:
    """``count`` rows like ``template``, of which ``columns`` are SQL expressions over ``n``.

    Whatever columns a table has gained since, the template has them too.
    """
    from django.db import connection

    table = model._meta.db_table
    key = model._meta.pk.column
    names = [field.column for field in model._meta.local_concrete_fields]
    values = [columns.get(name, f't."{name}"') for name in names]
    listed = ", ".join(f'"{name}"' for name in names)
    selected = ", ".join(values).replace("%", "%%")  # "%" is SQL's remainder here.
    statement = (
        f'INSERT INTO "{table}" ({listed}) SELECT {selected} '  # noqa: S608
        f'FROM "{table}" t, generate_series(1, {count}) n WHERE t."{key}" = %s'
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [template.pk])


def key_of(kind: str, number: str = "n") -> str:
    return f"md5('{kind}' || ({number}))::uuid"


def fill(size: int) -> Any:
    """A site with ``size`` unread studies and a smaller one; returns the person who looks."""
    from django.db import connection
    from django.utils import timezone

    from screening.accounts.models import Membership, Site, User
    from screening.inference.models import Job, ModelVersion, Result
    from screening.patients.models import Patient
    from screening.studies.models import Image, Study
    from screening.worklist.models import Entry, Notification, Order, Rule

    now = timezone.now()
    site = Site.objects.create(name="Bench Hospital")
    Site.objects.create(name="Another Hospital")
    Rule.objects.create(site=site, order=Order.FLAGS_FIRST, cap_minutes=60)
    readers = []
    for number in range(READERS):
        user = User.objects.create(username=f"reader{number}", email=f"r{number}@example.org")
        Membership.objects.create(user=user, site=site, role="clinician")
        readers.append(user)
    reader = readers[0]

    def columns(kind: str, **more: str) -> dict[str, str]:
        return {"id": key_of(kind), "created_at": arrived, "updated_at": arrived, **more}

    # One study each half minute, the newest now.
    arrived = f"'{now.isoformat()}'::timestamptz - n * interval '30 seconds'"
    status = (
        f"CASE WHEN n % {FAILED} = 1 THEN 'failed' WHEN n % {REFUSED} = 2 THEN 'refused' "
        "ELSE 'done' END"
    )
    flagged = f"(n % {FLAGGED} = 0)"
    patients = max(size // 3, 1)
    patient = Patient.objects.create(site=site, mrn="TEMPLATE", family_name="Template")
    family = "chr(97 + n % 26) || 'a' || chr(97 + (n / 26) % 26) || 'ster' || (n % 300)"
    copy_rows(
        Patient,
        patient,
        patients,
        **columns("patient", mrn="'M' || n", mrn_key="'m' || n"),
        family_name=f"initcap({family})",
        family_key=family,
        given_name="'Thora'",
        given_key="'thora'",
    )
    of_patient = key_of("patient", f"1 + n % {patients}")
    study = Study.objects.create(site=site, patient=patient, uploaded_by=reader, status="done")
    copy_rows(Study, study, size, **columns("study", patient_id=of_patient, status=status))
    image = Image.objects.create(
        study=study,
        status="done",
        sha256="0" * 64,
        original_name="chest.dcm",
        format="dicom",
        size_bytes=9_000_000,
        width=2500,
        height=3000,
        bits_stored=12,
        original="images/a",
        display="images/b",
        thumbnail="images/c",
    )
    copy_rows(Image, image, size, **columns("image", study_id=key_of("study"), status=status))
    job = Job.objects.create(image=image, status="done", available_at=now)
    copy_rows(Job, job, size, **columns("job", image_id=key_of("image"), status=status))
    model = ModelVersion.objects.create(
        name="bench", version="1", weights_sha256="0" * 64, preprocessing_version="1", manifest={}
    )
    result = Result.objects.create(
        image=image,
        model_version=model,
        label="normal",
        p_covid=0.1,
        p_pneumonia=0.2,
        p_normal=0.7,
        heatmap="heatmaps/a",
        milliseconds=40,
        runtime="litert",
        evidence=evidence(),
        receipt={"input": "0" * 64, "weights": "0" * 64, "output": "0" * 64},
    )
    label = f"CASE WHEN {flagged} THEN 'covid' WHEN n % 7 = 0 THEN 'pneumonia' ELSE 'normal' END"
    copy_rows(Result, result, size, **columns("result", image_id=key_of("image"), label=label))
    Entry.objects.filter(pk=study.pk).delete()
    entry = Entry.objects.create(
        study=study, site=site, patient=patient, status="done", arrived_at=now
    )
    live = f"'{now.isoformat()}'::timestamptz + interval '8 hours'"
    holders = " ".join(f"WHEN {i} THEN '{user.pk}'" for i, user in enumerate(readers))
    holder = f"CASE n % {max(size // 50, READERS)} {holders} END"
    copy_rows(
        Entry,
        entry,
        size,
        study_id=key_of("study"),
        patient_id=of_patient,
        status=status,
        arrived_at=arrived,
        flagged=flagged,
        claimed_by_id=f"({holder})::uuid",
        claimed_at=arrived,
        claimed_until=live,
    )
    notification = Notification.objects.create(
        user=reader, site=site, study=study, kind="done", at=now
    )
    copy_rows(
        Notification,
        notification,
        size // 10,
        **columns("notification", study_id=key_of("study"), at=arrived),
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return reader


def evidence() -> dict[str, Any]:
    return {
        "prediction_set": ["normal"],
        "uncertain": False,
        "coverage": 0.9,
        "operating_point": {
            "called": False,
            "threshold": 0.46,
            "sensitivity": 0.9,
            "specificity": 0.98,
        },
        "shortcut": {
            "verdict": "reliable",
            "sentence": "No shortcut was found: the answer needs the lungs.",
            "evidence_in_lungs": 0.7,
            "lung_area": 0.5,
        },
        "caution": None,
    }


# --- Asking, in a process for each size ----------------------------------------------------------


class Asker:
    """A signed-in person at a portal of ``size`` studies."""

    def __init__(self, size: int, *, is_filled: bool) -> None:
        from django.test import Client
        from django.utils import timezone

        from screening.accounts.models import User

        self.now = timezone.now()
        self.size = size
        self.random = random.Random(size)
        started = time.monotonic()
        reader = User.objects.get(username="reader0") if is_filled else fill(size)
        self.filled_s = time.monotonic() - started
        self.client = Client(raise_request_exception=True)
        self.client.force_login(reader)
        self.state = ""

    def address(self, page: str) -> str:
        from screening.worklist.ordering import Place

        # Never among the last of a list: a page that is half empty would flatter.
        number = self.random.randrange(self.size // 4, self.size)
        moment = self.now - timedelta(seconds=30 * number)
        key = self.random.getrandbits(128)
        mark = Place(moment, UUID(int=key)).mark()
        week = (moment.date() - timedelta(days=7)).isoformat(), moment.date().isoformat()
        letter = chr(97 + self.random.randrange(26))
        # As many digits as the largest has, so that it is the beginning of no other.
        mrn = f"M{self.random.randrange(10 ** (len(str(self.size // 3)) - 1), self.size // 3)}"
        simple: dict[str, Callable[[], str]] = {
            "worklist, first page": lambda: "/worklist/",
            "worklist, deep page": lambda: f"/worklist/?after={mark}",
            "worklist, backwards": lambda: f"/worklist/?before={mark}",
            "worklist, failed or refused": lambda: f"/worklist/?status=stuck&after={mark}",
            "worklist, flagged, deep": lambda: f"/worklist/?flag=yes&after={mark}",
            "worklist, nobody's": lambda: f"/worklist/?claim=free&after={mark}",
            "worklist, mine": lambda: "/worklist/?claim=mine",
            "worklist, one week": lambda: f"/worklist/?since={week[0]}&until={week[1]}",
            "worklist, search by name": lambda: f"/worklist/?q={letter}",
            "worklist, search by MRN": lambda: f"/worklist/?q={mrn}",
            "worklist, asked for news": lambda: f"/worklist/rows/?seen={self.state}",
            "worklist, API": lambda: f"/api/v1/worklist/?after={mark}",
            "home": lambda: "/",
            "studies, first page": lambda: "/studies/",
            "studies, deep page": lambda: f"/studies/?before={mark}",
            "studies, one class": lambda: f"/studies/?label=covid&before={mark}",
            "notifications": lambda: "/notifications/",
        }
        return simple[page]()

    def ask(self, page: str) -> float:
        """Seconds that one request took."""
        address = self.address(page)
        started = time.perf_counter()
        response = self.client.get(address)
        seconds = time.perf_counter() - started
        assert response.status_code in (200, 204), (address, response.status_code)
        if page == "worklist, first page":
            text = response.content.decode()
            self.state = text.partition("seen=")[2][:24]
        return seconds


def serve(size: int, *, is_filled: bool) -> None:
    """Make the database and answer what the other end of the pipe asks for."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    if not is_filled:
        call_command("migrate", verbosity=0)
    asker = Asker(size, is_filled=is_filled)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        stored = cursor.fetchone()[0]
    print(json.dumps({"filled_s": asker.filled_s, "megabytes": stored // 2**20}), flush=True)
    for line in sys.stdin:
        print(json.dumps(asker.ask(line.strip())), flush=True)


# --- Measuring -----------------------------------------------------------------------------------


@dataclass
class Database:
    """A process that holds one filled database."""

    size: int
    process: subprocess.Popen[str]
    label: str

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process for {self.size} studies ended")
        return json.loads(line)

    def ask(self, page: str) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{page}\n")
        self.process.stdin.flush()
        return float(self.answer())


def start(size: int, url: str, folder: Path, *, label: str = "", limited: bool = True) -> Database:
    """A process for ``size`` studies; unless ``limited``, one more for a database that is there."""
    import psycopg2

    name = f"bench_{size}"
    if limited:
        administrator = psycopg2.connect(url)
        administrator.autocommit = True  # A database is made outside transactions.
        administrator.cursor().execute(f"CREATE DATABASE {name}")
        administrator.close()
    environment = {
        **os.environ,
        "DATABASE_ROW_SECURITY": "required" if limited else "off",
        "DJANGO_SETTINGS_MODULE": "portal.settings.test",
        "TEST_SHAPE": "server",
        "TEST_DATABASE_URL": url.rpartition("/")[0] + f"/{name}",
        "TEST_REDIS_URL": "redis://127.0.0.1:1/0",  # Nothing here is sent to a worker.
        "TEST_RUN_DIR": str(folder / name),
    }
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", str(size)]
    command += [] if limited else ["--filled"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
    database = Database(size, process, label or f"{size:,}")
    filled = database.answer()
    print(f"{size:>9} studies: {filled['megabytes']} MB, filled in {filled['filled_s']:.0f} s")
    return database


def percentile(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def measure(databases: list[Database], requests: int, only: str) -> list[dict[str, Any]]:
    """Ask each page ``requests`` times of each database, by turns."""
    rows = []
    for page, is_worklist in PAGES:
        if only not in page:
            continue
        times: dict[str, list[float]] = {database.label: [] for database in databases}
        for number in range(requests + 5):
            for database in databases:
                seconds = database.ask(page)
                if number >= 5:  # The first few warm caches up.
                    times[database.label].append(seconds)
        row: dict[str, Any] = {"page": page, "worklist": is_worklist, "requests": requests}
        for label, found in times.items():
            row[f"p50_ms_{label}"] = round(1000 * statistics.median(found), 1)
            row[f"p95_ms_{label}"] = round(1000 * percentile(found, 0.95), 1)
        small, large = (row[f"p95_ms_{database.label}"] for database in databases)
        row["ratio"] = round(large / small, 2)
        rows.append(row)
        print(line(row, databases), flush=True)
    return rows


def line(row: dict[str, Any], databases: list[Database]) -> str:
    figures = "".join(
        f"{row[f'p50_ms_{database.label}']:>9}{row[f'p95_ms_{database.label}']:>9}"
        for database in databases
    )
    return f"{row['page']:<30}{figures}{row['ratio']:>8}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs=2, default=SIZES, metavar=("FEW", "MANY"))
    parser.add_argument("--requests", type=int, default=200, help="of each page and size")
    parser.add_argument("--limit", type=float, help="of the ratio for the worklist")
    parser.add_argument("--row-security", action="store_true", help="with the limits, and without")
    parser.add_argument("--filled", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help="pages whose name contains this")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, is_filled=options.filled)
        return 0
    limit = options.limit or (1.2 if options.row_security else 2.0)
    from tests.servers import private_postgres

    with tempfile.TemporaryDirectory(prefix="bench-worklist-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o711)  # The database runs as another user and has to pass through.
        with private_postgres(folder) as url:
            databases: list[Database] = []
            try:
                if options.row_security:
                    size = max(options.sizes)
                    limited = start(size, url, folder, label="limited")
                    free = start(size, url, folder, label="not limited", limited=False)
                    databases += [free, limited]
                else:
                    databases += [start(size, url, folder) for size in options.sizes]
                sizes = "".join(f"{database.label:>18}" for database in databases)
                print(f"\n{'':<30}{sizes}")
                print(f"{'milliseconds':<30}{'p50':>9}{'p95':>9}{'p50':>9}{'p95':>9}{'p95 ×':>8}")
                rows = measure(databases, options.requests, options.only)
            finally:
                for database in databases:
                    assert database.process.stdin is not None
                    database.process.stdin.close()
                    database.process.wait(timeout=60)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    slow = [row["page"] for row in rows if row["worklist"] and row["ratio"] >= limit]
    print(f"\nOver the limit of {limit}: {', '.join(slow) or 'no page of the worklist'}.")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
