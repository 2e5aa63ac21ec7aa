"""What browsers are told, asked of the pages themselves."""

from __future__ import annotations

from django.conf import settings

from portal.selftest.checks.configuration import is_server
from portal.selftest.registry import Bench, Outcome, failed, passed, self_check


@self_check(
    "headers",
    "Pages forbid foreign scripts, frames, sniffing and caching",
    asvs=("V3.4", "V14.3"),
    hipaa=("164.312(a)(1)",),
    needs_scratch=True,
)
def pages_carry_headers(bench: Bench) -> Outcome:
    world = bench.scratch
    wrong: list[str] = []
    pages = ["/login/", f"/studies/{world.objects['study_id']}/"]
    for who, address in zip(("anonymous", "clinician"), pages, strict=True):
        answer = world.browser(who).get(address)
        wrong += [f"{address}: status {answer.status_code}"] if answer.status_code != 200 else []
        policy = answer.headers.get("Content-Security-Policy", "")
        if "script-src 'self'" not in policy or "unsafe-" in policy:
            wrong.append(f"{address}: the content policy lets foreign or inline script in")
        wanted = {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Permissions-Policy": settings.PERMISSIONS_POLICY,
        }
        if is_server():
            wanted["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
        for name, value in wanted.items():
            if value not in answer.headers.get(name, ""):
                wrong.append(f"{address}: {name} is not {value}")
        if "no-store" not in answer.headers.get("Cache-Control", ""):
            wrong.append(f"{address}: may be kept by caches")
    if wrong:
        return failed("; ".join(wrong))
    return passed("Asked of the sign-in page and of a study's page.", pages=len(pages))
