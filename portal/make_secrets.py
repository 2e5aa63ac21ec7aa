"""Makes the secret files that ``docker-compose.yml`` mounts: ``portal/make_secrets.py FOLDER``.

Every installation gets its own; a file that is already there is never touched. Any Python runs
this, so that ``make secrets`` needs nothing installed.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

# File name → random bytes. URL-safe text, so that it fits into URLs and configuration files.
SECRET_FILES = {"secret_key": 64, "postgres_password": 32, "redis_password": 32}


def make_secrets(folder: Path) -> list[str]:
    """Write the secrets that are missing; return their names.

    The folder is closed to other users. The files are readable by whoever can enter it, because
    the containers read them as users of their own.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    made = []
    for name, size in SECRET_FILES.items():
        path = folder / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(secrets.token_urlsafe(size))
        path.chmod(0o444)
        made.append(name)
    return made


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "secrets")
    for made_name in make_secrets(target):
        print(f"Made {target / made_name}")
