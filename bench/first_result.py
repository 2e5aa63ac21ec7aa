#!/usr/bin/env python3
"""From a picture to its first result: ``python bench/first_result.py IMAGE``.

Signs in through the API, registers a made-up patient, uploads IMAGE, waits, and prints one JSON
object with ``label``, ``probabilities``, ``status`` and ``seconds`` (upload to result). Exit
status 1, with the ``code``, when the picture is refused or its analysis failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.client import Answer, Login, PortalClient, read_login  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a PNG, JPEG or DICOM file")
    parser.add_argument("--base", default="http://127.0.0.1:8000", help="the portal's address")
    parser.add_argument("--user", help="who signs in; default: the clinician of the first login")
    parser.add_argument("--password-file", type=Path, help="a file that holds the password only")
    parser.add_argument(
        "--first-login", type=Path, default=ROOT / "var" / "first-login.txt", help="else this file"
    )
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait for the result")
    return parser.parse_args()


def who(options: argparse.Namespace) -> Login:
    if options.user is None and options.password_file is None:
        return read_login(options.first_login)
    if options.user is None or options.password_file is None:
        raise LookupError("give --user and --password-file together")
    password = options.password_file.read_text(encoding="utf-8").strip("\r\n")
    return Login(options.user, password)


def first_result(options: argparse.Namespace) -> dict[str, Any]:
    """Walk the whole way once; the keys of the answer are those that are printed."""
    content = options.image.read_bytes()
    client = PortalClient(options.base, timeout_s=options.timeout)
    client.sign_in(who(options))
    patient = client.create_patient()
    started = time.monotonic()
    try:
        sent = client.upload(patient, [(options.image.name, content)])
    except Answer as refusal:
        if refusal.status != 422:
            raise
        return {
            "status": "refused",
            "code": refusal.body.get("code"),
            "message": refusal.body.get("message"),
            "seconds": round(time.monotonic() - started, 3),
        }
    study = client.wait(sent["id"], timeout_s=options.timeout, every_s=0.02)
    seconds = round(time.monotonic() - started, 3)
    image = study["images"][0]
    found = {
        "label": image.get("label"),
        "probabilities": image.get("probabilities"),
        "status": study["status"],
        "seconds": seconds,
        "study": study["id"],
        "model": image.get("model"),
        "heatmap": image.get("heatmap"),
    }
    if study["status"] != "done":
        found |= {"code": image.get("code"), "message": image.get("message")}
    return found


def main() -> int:
    options = arguments()
    try:
        found = first_result(options)
    except Answer as refusal:
        found = {"status": "error", "code": refusal.body.get("code"), "message": str(refusal)}
    except TimeoutError as error:
        found = {"status": "error", "code": "timeout", "message": str(error)}
    except (OSError, LookupError, ValueError) as error:
        found = {"status": "error", "code": "cannot_ask", "message": str(error)}
    print(json.dumps(found))
    return 0 if found["status"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
