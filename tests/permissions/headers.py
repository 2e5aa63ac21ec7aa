"""What every answer of the portal has to carry, whoever asked for whatever."""

from __future__ import annotations

from typing import Any

WANTED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
CLOSED_FEATURES = ("camera", "microphone", "geolocation", "usb", "serial", "hid", "bluetooth")
DIRECTIVES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "object-src": "'none'",
}


def faults_of(response: Any) -> list[str]:
    """What an answer lacks, one line each; none is as it should be."""
    found = [
        f"{name}: {response.get(name)}"
        for name, value in WANTED.items()
        if response.get(name) != value
    ]
    allowed = response.get("Permissions-Policy", "")
    found += [f"open: {one}" for one in CLOSED_FEATURES if f"{one}=()" not in allowed]
    found += _faults_of_policy(response.get("Content-Security-Policy", ""))
    kept = response.get("Cache-Control", "")
    if "no-store" not in kept:
        found.append(f"Cache-Control: {kept}")
    return found


def _faults_of_policy(policy: str) -> list[str]:
    told = dict(part.strip().partition(" ")[::2] for part in policy.split(";") if part.strip())
    found = [
        f"{name} {told.get(name)}" for name, value in DIRECTIVES.items() if told.get(name) != value
    ]
    if "unsafe" in policy or "*" in policy or "http" in policy:
        found.append(policy)
    return found
