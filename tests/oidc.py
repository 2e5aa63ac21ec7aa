"""A real OpenID Connect provider for the tests, over real HTTP, and hands that forge its answers.

The provider is the package ``oidc-provider-mock``; untouched, it is what a hospital's would be.
``Provider.forge`` changes what it sends: the claims of an ID token, the key that signs it, or the
issuer in the discovery.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import oidc_provider_mock
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from werkzeug.serving import make_server

Claims = dict[str, Any]


class Provider:
    """``base`` is the issuer; ``seen`` holds path and parameters of each request."""

    def __init__(self) -> None:
        self._app = oidc_provider_mock.app(require_nonce=True)
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.base = ""
        self.reset()

    def reset(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.change: Callable[[Claims], Claims | None] | None = None
        self.algorithm = "RS256"
        self.publish = True
        self.discovery: Claims = {}

    def person(self, subject: str, **claims: Any) -> None:
        """What the provider says about somebody from now on."""
        requests.put(f"{self.base}/users/{subject}", json=claims, timeout=10).raise_for_status()

    def answer(self, address: str, subject: str, *, deny: bool = False) -> str:
        """Do as a person at the provider's page does; return where the browser is sent."""
        data = {"action": "deny"} if deny else {"sub": subject}
        answer = requests.post(address, data=data, allow_redirects=False, timeout=10)
        parts = urlsplit(answer.headers["Location"])
        return f"{parts.path}?{parts.query}"

    def forge(self, change: Callable[[Claims], Claims | None], algorithm: str = "RS256") -> None:
        """Sign ID tokens anew with a key that ``publish`` says whether it is the provider's."""
        self.change = change
        self.algorithm = algorithm

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        path = environ["PATH_INFO"]
        sent = body.decode("latin-1") if environ["REQUEST_METHOD"] == "POST" else ""
        self.seen.append((path, dict(parse_qsl(environ.get("QUERY_STRING", "") + "&" + sent))))
        told: dict[str, Any] = {}

        def note(status: str, headers: Any, *_: Any) -> Any:
            told.update(status=status, headers=headers)
            return lambda _data: None

        content = b"".join(self._app(environ, note))
        content = self._forged(path, content)
        headers = [(k, v) for k, v in told["headers"] if k.lower() != "content-length"]
        start_response(told["status"], [*headers, ("Content-Length", str(len(content)))])
        return [content]

    def _forged(self, path: str, content: bytes) -> bytes:
        if path.endswith("/openid-configuration") and self.discovery:
            return json.dumps({**json.loads(content), **self.discovery}).encode()
        if self.change is None:
            return content
        if path == "/jwks" and self.publish:
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
            return json.dumps({"keys": [{**key, "kid": "forged", "use": "sig"}]}).encode()
        if path == "/oauth2/token":
            answer = json.loads(content)
            claims = jwt.decode(answer["id_token"], options={"verify_signature": False})
            changed = self.change(claims)
            answer["id_token"] = self._sign(changed) if changed is not None else None
            return json.dumps(answer).encode()
        return content

    def _sign(self, claims: Claims) -> str:
        key: Any = self._key
        if self.algorithm == "none":
            key = None
        elif self.algorithm.startswith("HS"):
            key = "the client's secret, which is no key of the provider's"
        return jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": "forged"})


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Start the provider on a free port of this machine."""
    provider = Provider()
    server = make_server("127.0.0.1", 0, provider, threaded=True)  # type: ignore[arg-type]
    provider.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
