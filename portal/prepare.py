"""Brings database, static files and first accounts up to date; run before the portal serves.

``python -m portal.prepare`` says one line for each step. It is safe to run again and again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path


def say(sentence: str) -> None:
    print(sentence, flush=True)


def static_fingerprint() -> str:
    """Changes when any static source does: names, sizes and times of all of them."""
    from django.contrib.staticfiles.finders import get_finders

    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            found = os.stat(storage.path(name))
            digest.update(f"{name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def collect_static() -> bool:
    """Collect static files if a source changed; return whether anything was done."""
    from django.conf import settings
    from django.core.management import call_command

    root = Path(settings.STATIC_ROOT)
    stamp = root.with_name("static.stamp")
    fingerprint = static_fingerprint()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == fingerprint:
        return False
    shutil.rmtree(root, ignore_errors=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(fingerprint, encoding="utf-8")
    return True


def make_first_file_key() -> bool:
    """Make a key if files are to be encrypted, none is there, and no file waits for a lost one."""
    from django.conf import settings

    from screening.core.keyring import make_key
    from screening.studies.sealed_storage import encrypts, keyring, keys_in_use, sealed_storage

    if not encrypts() or keyring().keys() or keys_in_use(sealed_storage()):
        return False
    make_key(Path(settings.ENCRYPTION_KEYS_DIR))
    return True


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings.embedded")
    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
        from django.conf import settings
        from django.core.management import call_command

        from screening.accounts.models import Site

        say("Bringing the database up to date.")
        call_command("migrate", interactive=False, verbosity=0)
        if make_first_file_key():
            say(f"Made the first key of stored files in {settings.ENCRYPTION_KEYS_DIR}.")
        if collect_static():
            say("Collected the static files.")
        if not Site.objects.exists():
            call_command(
                "setup_site",
                site=os.environ.get("SITE_NAME") or "First site",
                first_login_file=settings.VAR_DIR / "first-login.txt",
                address=os.environ.get("PORTAL_ADDRESS", ""),
            )
    except ImproperlyConfigured as error:
        print(f"ThoraScreen cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
