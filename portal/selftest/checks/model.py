"""Whether the installed model says of known pictures what it said when it was released."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from portal.selftest.registry import Bench, Outcome, failed, not_applicable, passed, self_check
from portal.selftest.world import World, send
from screening.inference.models import Job, Result
from screening.inference.packages import default_package
from screening.inference.replay import replay_result
from screening.inference.services import run_job

GOLDEN = Path(__file__).resolve().parent.parent / "golden.json"
# Of a probability. Drawing and decoding round differently from processor to processor.
TOLERANCE = 0.01


@self_check(
    "model",
    "The model gives the known answers to the known pictures",
    asvs=("V15.1",),
    hipaa=("164.312(c)(1)",),
    needs_scratch=True,
)
def known_answers(bench: Bench) -> Outcome:
    package = default_package()
    if not package.usable:
        return failed(f"The installed model cannot be used: {package.message}")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    expected = golden.get(package.fingerprint)
    answers = {seed: answer(bench.scratch, seed) for seed in golden["pictures"]}
    changed = [seed for seed, found in answers.items() if not replay_result(found).holds]
    if changed:
        return failed(f"{len(changed)} answers differ when they are computed again.")
    named = f"{package.name} {package.version} ({package.fingerprint[:12]})"
    if expected is None:
        return not_applicable(
            f"{named} is not the version that is shipped, so no known answers go with it. Its "
            f"{len(answers)} answers were the same twice."
        )
    off = {
        seed: _difference(answers[int(seed)], wanted)
        for seed, wanted in expected.items()
        if answers[int(seed)].label != wanted["label"]
        or _difference(answers[int(seed)], wanted) > TOLERANCE
    }
    figures: dict[str, Any] = {"pictures": len(expected), "model": named}
    if off:
        return failed(
            f"{len(off)} of {len(expected)} known pictures got another answer.", **figures
        )
    largest = max(_difference(answers[int(seed)], wanted) for seed, wanted in expected.items())
    figures["largest_difference"] = round(largest, 6)
    return passed(f"{named}: {len(expected)} known pictures, and each computed twice.", **figures)


def answer(world: World, seed: int) -> Result:
    """What the installed model says of the picture drawn from ``seed``."""
    image = send(world.people["clinician"], world.patient, seed=seed)
    run_job(Job.objects.get(image=image).pk)
    return Result.objects.select_related("image__study", "model_version").get(image=image)


def stored(result: Result) -> dict[str, Any]:
    """An answer as ``golden.json`` keeps it."""
    shares = (result.p_covid, result.p_pneumonia, result.p_normal)
    return {"label": str(result.label), "shares": [round(share, 6) for share in shares]}


def _difference(result: Result, wanted: dict[str, Any]) -> float:
    pairs = zip(stored(result)["shares"], wanted["shares"], strict=True)
    return float(max(abs(one - other) for one, other in pairs))
