"""A small client of the portal's API. Standard library only, so that any Python can run it."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

OPEN = ("queued", "running")


class Answer(Exception):
    """The portal refused: ``status`` is HTTP's, ``body`` its ``{code, message, …}``."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body.get('code')}: {body.get('message')}")
        self.status = status
        self.body = body


@dataclass(frozen=True)
class Login:
    """Who signs in."""

    username: str
    password: str


def read_login(path: Path, role: str = "clinician") -> Login:
    """The line ``role: username password`` of ``first-login.txt``.

    Raises ``LookupError`` when the file has no such line.
    """
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == role:
            username, password = rest.split(maxsplit=1)
            return Login(username, password.strip())
    raise LookupError(f"{path} has no line for {role}")


class PortalClient:
    """One signed-in program that keeps its connection."""

    def __init__(self, base: str, *, timeout_s: float = 60) -> None:
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base!r} is no address; write http://host:port")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_s)
        self._prefix = parts.path.rstrip("/") + "/api/v1/"
        self._token = ""

    def call(
        self, method: str, path: str, body: bytes | None = None, content_type: str = ""
    ) -> dict[str, Any]:
        """Send one request; raise ``Answer`` unless the portal says 2xx."""
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Token {self._token}"
        if content_type:
            headers["Content-Type"] = content_type
        for attempt in (1, 2):
            try:
                self._connection.request(method, self._prefix + path, body, headers)
                response = self._connection.getresponse()
                data = response.read()
                break
            except (http.client.RemoteDisconnected, BrokenPipeError):
                # The server closed an idle connection; a GET may safely be asked again.
                self._connection.close()
                if attempt == 2 or method != "GET":
                    raise
        try:
            found = json.loads(data) if data else {}
        except ValueError:
            found = {"code": "not_json", "message": f"The answer is {response.status} and no JSON."}
        if not 200 <= response.status < 300:
            raise Answer(response.status, found)
        return dict(found)

    def post_json(self, path: str, values: dict[str, Any]) -> dict[str, Any]:
        return self.call("POST", path, json.dumps(values).encode(), "application/json")

    def sign_in(self, login: Login) -> None:
        found = self.post_json(
            "auth/token/", {"username": login.username, "password": login.password}
        )
        self._token = str(found["token"])

    def create_patient(self, family_name: str = "Probe") -> str:
        """Register a made-up patient with a fresh record number; return the id."""
        found = self.post_json(
            "patients/",
            {
                "mrn": f"BENCH-{secrets.token_hex(5).upper()}",
                "family_name": family_name,
                "given_name": "Pat",
                "birth_date": "1970-01-01",
                "sex": "O",
            },
        )
        return str(found["id"])

    def upload(self, patient: str, images: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
        """Send one study of named files."""
        boundary = f"----portal{secrets.token_hex(12)}"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="patient"\r\n\r\n'
            f"{patient}\r\n".encode()
        ]
        for name, data in images:
            safe = name.replace('"', "_").replace("\r", "_").replace("\n", "_")
            parts.append(
                f'--{boundary}\r\nContent-Disposition: form-data; name="images"; '
                f'filename="{safe}"\r\nContent-Type: application/octet-stream\r\n\r\n'.encode()
            )
            parts += [data, b"\r\n"]
        parts.append(f"--{boundary}--\r\n".encode())
        return self.call(
            "POST", "studies/", b"".join(parts), f"multipart/form-data; boundary={boundary}"
        )

    def wait(self, study: str, *, timeout_s: float, every_s: float) -> dict[str, Any]:
        """Ask until the study is no longer queued or running; ``TimeoutError`` after a while."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.call("GET", f"studies/{study}/")
            if found["status"] not in OPEN:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"study {study} is still {found['status']}")
            time.sleep(every_s)
