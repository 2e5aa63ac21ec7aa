"""Computing a result again from its receipt, to see whether the portal would still say it.

The input is the stored file, the model the version that answered, the runtime the one it used.
On the same machine and runtime the answer is the same to the last bit; another processor may
round differently, by at most ``TOLERANCE``.
"""

from __future__ import annotations

from dataclasses import dataclass

from screening.audit.services import record
from screening.inference import engine
from screening.inference.failures import PermanentFailure
from screening.inference.models import Result
from screening.inference.points import stored_point

TOLERANCE = 1e-4
"""The largest difference of a probability that another processor's rounding explains."""


@dataclass(frozen=True, slots=True)
class Replay:
    """How today's answer compares with the stored one.

    ``largest_difference`` is over the three calibrated probabilities. ``identical`` means that
    label, probabilities and logits are the same to the last bit. ``changed`` names the parts of
    the receipt that are not what they were.
    """

    result: Result
    largest_difference: float
    identical: bool
    changed: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether the stored answer is what the receipt says it is, within rounding."""
        inputs = {
            "input_sha256",
            "manifest_sha256",
            "files_sha256",
            "calibration_sha256",
            "thresholds_sha256",
            "lungs_sha256",
            "preprocessing_version",
            "label",
        }
        return self.largest_difference <= TOLERANCE and not inputs & set(self.changed)


def replay_result(result: Result) -> Replay:
    """Classify the result's image again and compare. Nothing is stored but the audit event.

    :raises PermanentFailure, TransientFailure: when the image or that model can't be used any
        more; ``no_answer`` when the model refuses the picture it once answered.
    """
    verdict = engine.look_again(
        result.image.original,
        result.image.sha256,
        model_name=result.model_version.name,
        model_version=result.model_version.version,
        runtime=result.runtime,
        files_sha256=result.receipt.get("files_sha256"),
        point=stored_point(result.evidence),
    )
    record("result.replay", result)
    if isinstance(verdict, engine.Refusal):
        raise PermanentFailure("no_answer")
    stored = result.probabilities
    changed = [key for key, value in verdict.receipt.items() if result.receipt.get(key) != value]
    if verdict.label != result.label:
        changed.append("label")
    return Replay(
        result=result,
        largest_difference=max(abs(stored[key] - verdict.probabilities[key]) for key in stored),
        identical=verdict.receipt["output_sha256"] == result.receipt["output_sha256"],
        changed=tuple(changed),
    )
