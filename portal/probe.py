"""Health probes for containers: ``python -m portal.probe URL``, or ``worker`` instead of a URL.

Exit status 0 means healthy. Only the standard library for a URL, so that probing costs little.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

PATIENCE_S = 4


def url_answers(url: str) -> bool:
    """Whether a GET of ``url`` is answered with 200."""
    if not url.startswith(("http://", "https://")):
        raise SystemExit("A probe needs an http address.")
    # Django refuses hosts it does not know; the first allowed one is always right.
    host = (os.environ.get("ALLOWED_HOSTS") or "localhost").split(",")[0].strip().lstrip(".")
    request = urllib.request.Request(url, headers={"Host": host})  # noqa: S310  (checked above)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def worker_answers() -> bool:
    """Whether the worker of this very container answers a ping through the broker."""
    import socket

    from portal.celery import app

    node = f"worker@{socket.gethostname()}"
    return bool(app.control.inspect(destination=[node], timeout=PATIENCE_S).ping())


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) == 2 else ""
    healthy = worker_answers() if what == "worker" else url_answers(what)
    sys.exit(0 if healthy else 1)
