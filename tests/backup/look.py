"""Asked of a restored portal, in a process of its own: ``python -m tests.backup.look JSON``."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings.test")
    import django

    django.setup()
    from django.conf import settings
    from django.test import Client

    from screening.inference.models import Job
    from screening.inference.sweeper import sweep_jobs

    asked: dict[str, Any] = json.loads(sys.argv[1])
    api = Client(headers={"Authorization": f"Token {asked['token']}"})
    bodies = {}
    for address in asked["addresses"]:
        answer: Any = api.get(address)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        bodies[address] = [answer.status_code, hashlib.sha256(body).hexdigest()]
    browser = Client()
    person = {"username": asked["username"], "password": asked["password"]}
    signed_in = browser.post("/login/", person).status_code
    # The sweep that comes when messages have had their time: not every restore takes ten seconds.
    settings.INFERENCE_RESEND_AFTER_S = 0
    swept = sweep_jobs()
    found = {
        "bodies": bodies,
        "sign_in": signed_in,
        "home": browser.get("/").status_code,
        "ready": Client().get("/readyz").json()["checks"],
        "recovered": swept.recovered,
        "resent": swept.resent,
        "running": Job.objects.filter(status="running").count(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
