#!/usr/bin/env python3
"""How long a backup and a restore take, and how large a backup is.

``python bench/restore.py`` makes a portal's database and files with 1,000 studies of drawn chests
(0.3 to 1 MB each, with renditions and heatmap, encrypted at rest) in a temporary folder, backs it
up twice, and restores it onto an empty one: real commands in processes of their own, encrypted and
with everything compared at the end. ``--postgres`` does it on a PostgreSQL of its own.
Exit status 1 when a command fails. ``--openings`` measures only what encryption costs a reader.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PICTURES = 20
FILM = (3000, 4000)  # 12 megapixels


@dataclass
class Installation:
    """Folders and database of one portal."""

    folder: Path
    database: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "portal.settings.test",
            "TEST_RUN_DIR": str(self.folder),
            "TEST_MEDIA_ROOT": str(self.folder / "media"),
            "TEST_DATABASE_NAME": self.database,
            "TEST_REDIS_URL": "unix:///nowhere/redis.sock",
            "FILE_ENCRYPTION": "on",
            "ENCRYPTION_KEYS_DIR": str(self.folder / "keys"),
            "LOG_LEVEL": "ERROR",
        }

    def manage(self, *arguments: str) -> tuple[float, str]:
        """Seconds that a command took, and what it said."""
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
            text=True,
        )
        return time.monotonic() - started, done.stdout


def fill(studies: int) -> None:
    """Studies as the intake leaves them, of pictures that the gate has judged."""
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage

    from ml.phantom import phantom_png
    from screening.accounts.models import Site, User
    from screening.inference.models import Label, ModelVersion, Result
    from screening.patients.models import Patient
    from screening.studies import gate, storage
    from screening.studies.models import Image, Status, Study

    site = Site.objects.create(name="Bench")
    user = User.objects.create_user("bench")
    version = ModelVersion.objects.create(
        name="bench", version="1", weights_sha256="0" * 64, preprocessing_version="1", manifest={}
    )
    sides = [900 + 50 * n for n in range(PICTURES)]
    pictures = [
        gate.check_image(phantom_png(n, "normal", size=(s, s))) for n, s in enumerate(sides)
    ]
    heatmap = os.urandom(30_000)
    for number in range(studies):
        found = pictures[number % PICTURES]
        patient = Patient.objects.create(site=site, mrn=f"B-{number}", family_name="Bench")
        study = Study.objects.create(
            site=site, patient=patient, uploaded_by=user, status=Status.DONE
        )
        key = uuid4()
        contents = ((".png", found.data), (".display.jpg", found.display))
        names = [
            storage.put(storage.new_name(storage.IMAGES, key, suffix), data)
            for suffix, data in (*contents, (".thumbnail.jpg", found.thumbnail))
        ]
        image = Image.objects.create(
            pk=key,
            study=study,
            status=Status.DONE,
            sha256=found.sha256,
            format="png",
            size_bytes=len(found.data),
            width=found.header.width,
            height=found.header.height,
            bits_stored=8,
            original=names[0],
            display=names[1],
            thumbnail=names[2],
        )
        name = storage.new_name(storage.HEATMAPS, uuid4(), ".png")
        default_storage.save(name, ContentFile(heatmap))
        Result.objects.create(
            image=image,
            model_version=version,
            label=Label.NORMAL,
            p_covid=0.1,
            p_pneumonia=0.1,
            p_normal=0.8,
            heatmap=name,
            milliseconds=40,
            runtime="litert",
            receipt={},
        )


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def backup_and_restore(here: Installation, there: Installation, folder: Path) -> dict[str, Any]:
    pair, target = folder / "pair", folder / "backups"
    here.manage("make_backup_keys", str(pair))
    say = ["--to", str(target), "--key", str(pair / "backup-sealing.key")]
    first_s, first = here.manage("backup", *say)
    second_s, second = here.manage("backup", *say)
    newest = max(path for path in target.iterdir() if not path.name.startswith("."))
    verify_s, _ = here.manage("verify_backup", str(newest), "--key", say[3])
    restore_s, words = there.manage(
        "restore", str(newest), "--key", str(pair / "backup-opening.key")
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "files_mb": round(size_of(here.folder / "media") / 1e6, 1),
        "backup_mb": round(size_of(newest) / 1e6, 1),
        "database_part_mb": round((newest / "database").stat().st_size / 1e6, 2),
        "backup_s": round(first_s, 1),
        "second_backup_s": round(second_s, 1),
        "verify_s": round(verify_s, 1),
        "restore_s": round(restore_s, 1),
        "peak_memory_mb": round(peak),
        "said": [said.strip().splitlines()[-1] for said in (first, second)]
        + [line for line in words.splitlines() if line.startswith("Restored")],
    }


def openings(times: int) -> dict[str, Any]:
    """Storing, and reading to the end, a 12-megapixel film of 16 bits; plain and encrypted."""
    from django.conf import settings

    from screening.studies import storage

    film = os.urandom(FILM[0] * FILM[1] * 2)
    found: dict[str, Any] = {"film_mb": round(len(film) / 1e6, 1)}
    for mode in ("off", "on"):
        settings.FILE_ENCRYPTION = mode
        stored, read = [], []
        for _ in range(times):
            started = time.perf_counter()
            name = storage.put(storage.new_name(storage.IMAGES, uuid4(), ".dcm"), film)
            stored.append(time.perf_counter() - started)
            started = time.perf_counter()
            storage.read(name)
            read.append(time.perf_counter() - started)
            storage.discard(name)
        word = "plain" if mode == "off" else "encrypted"
        found[f"{word}_store_ms_p50"] = round(1000 * statistics.median(stored), 1)
        found[f"{word}_read_ms_p50"] = round(1000 * statistics.median(read), 1)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--openings", type=int, default=0)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        folder.chmod(0o711)  # The database runs as another user and has to pass through.
        here, there = (
            Installation(folder / name, str(folder / name / "db.sqlite3"))
            for name in ("here", "there")
        )
        if options.postgres:
            import psycopg2

            from tests.servers import private_postgres

            url = stack.enter_context(private_postgres(folder))
            os.environ.update(TEST_SHAPE="server", TEST_DATABASE_URL=url)
            here.database, there.database = "here", "there"
            server = psycopg2.connect(url)
            server.autocommit = True
            with server.cursor() as cursor:
                cursor.execute("CREATE DATABASE here")
                cursor.execute("CREATE DATABASE there")
            server.close()
        from screening.core.keyring import make_key

        for one in (here, there):
            one.folder.mkdir()
            make_key(one.folder / "keys")
        os.environ.update(here.environment)
        import django

        django.setup()
        from django.core.management import call_command

        if options.openings:
            print(json.dumps(openings(options.openings), indent=1))
            return 0
        call_command("migrate", verbosity=0, interactive=False)
        fill(options.studies)
        from django.db import connections

        connections.close_all()
        print(json.dumps(backup_and_restore(here, there, folder), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
