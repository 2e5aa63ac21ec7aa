"""How gunicorn runs the portal, in every deployment shape."""

from __future__ import annotations

import os
from pathlib import Path

wsgi_app = "portal.wsgi:application"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS") or 2)
threads = int(os.environ.get("WEB_THREADS") or 4)
preload_app = True  # Loads once, then forks: a quicker start and shared memory.
timeout = 60
graceful_timeout = 5
keepalive = 15
# Recycling bounds what a slow leak in a decoder could do; the jitter keeps one worker serving.
max_requests = 20_000
max_requests_jitter = 2_000

# The heartbeat file is touched all the time; it belongs into memory, not onto a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
control_socket_disable = True

# The portal's own middleware logs each request, by route: addresses hold invitation tokens and
# query strings hold the names that people search for, and neither belongs into logs.
accesslog = None
errorlog = "-"
