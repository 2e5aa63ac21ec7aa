"""Whatever happens to a job, in whatever order, it ends once and says so everywhere."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from django.conf import settings as django_settings
from django.core.files.storage import default_storage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from screening.accounts.models import User
from screening.core.errors import Conflict
from screening.inference import engine, services, sweeper
from screening.inference.failures import PermanentFailure, TransientFailure
from screening.inference.models import Job, Result
from screening.patients.models import Patient
from screening.studies.models import Image, Status, Study
from tests import radiographs
from tests.inference.stages import (
    job_of,
    let_back_off_pass,
    let_lease_end,
    let_patience_end,
    let_worker_die,
)
from tests.radiographs import receive

OVER = (Status.DONE, Status.FAILED, Status.REFUSED)

ACTS = (
    "deliver",
    "finish",
    "refuse",
    "fail for now",
    "fail for good",
    "lease ends",
    "worker dies",
    "back-off passes",
    "message lost",
    "sweep",
    "retry by hand",
)


class History:
    """One job, the claims that simulated workers hold on it, and what must always be true."""

    def __init__(self, image: Image, actor: User) -> None:
        self.image = image
        self.actor = actor
        self.verdict = engine.look(image.original, image.sha256)
        self.claims: list[services.Claim] = []
        self.by_hand = False

    def act(self, act: str, which: int) -> None:
        before = job_of(self.image)
        self.by_hand = False
        self._do(act, before.pk, which)
        self._check(before, job_of(self.image))

    def _do(self, act: str, job_id: UUID, which: int) -> None:
        claim = self.claims[which % len(self.claims)] if self.claims else None
        if act == "deliver":
            found = services.claim_job(job_id)
            if found is not None:
                self.claims.append(found)
        elif act == "finish" and claim is not None:
            services.finish_job(claim, self.verdict)
        elif act == "refuse" and claim is not None:
            services.finish_job(claim, engine.Refusal("not_a_radiograph", "No X-ray. Check it."))
        elif act == "fail for now" and claim is not None:
            services.try_later(claim, TransientFailure("storage_unavailable"))
        elif act == "fail for good" and claim is not None:
            services.fail_job(claim, PermanentFailure("corrupt_image"))
        elif act == "lease ends":
            let_lease_end(self.image)
        elif act == "worker dies":
            let_worker_die(self.image)
        elif act == "back-off passes":
            let_back_off_pass(self.image)
        elif act == "message lost":
            let_patience_end(self.image)
        elif act == "sweep":
            sweeper.sweep_jobs()
        elif act == "retry by hand":
            try:
                services.retry_job(actor=self.actor, image=self.image)
            except Conflict:
                return
            self.by_hand = True

    def _check(self, before: Job, after: Job) -> None:
        assert after.attempts <= django_settings.INFERENCE_MAX_ATTEMPTS
        if before.status in OVER and not self.by_hand:
            assert (after.status, after.code, after.attempts) == (
                before.status,
                before.code,
                before.attempts,
            )
        assert Image.objects.get(pk=self.image.pk).status == after.status
        assert Study.objects.get(pk=self.image.study_id).status == after.status
        results = list(Result.objects.filter(image=self.image))
        assert len(results) == (1 if after.status == Status.DONE else 0)
        for result in results:
            assert default_storage.exists(result.heatmap)
        assert (after.lease_expires_at is None) == (after.status != Status.RUNNING)
        assert bool(after.message) == (after.status in (Status.FAILED, Status.REFUSED))
        assert (after.finished_at is not None) == (after.status in OVER)

    def bring_to_an_end(self) -> None:
        """Time passes, messages come: every job ends, however it stands now."""
        for _ in range(2 * django_settings.INFERENCE_MAX_ATTEMPTS + 2):
            if job_of(self.image).status in OVER:
                return
            self.act("lease ends", 0)
            self.act("back-off passes", 0)
            claim = services.claim_job(job_of(self.image).pk)
            if claim is not None:
                services.finish_job(claim, self.verdict)
        raise AssertionError(f"still {job_of(self.image)}")


@pytest.mark.django_db
@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 5)), max_size=25))
def test_any_history_keeps_the_promises(
    clinician_a: User, patient_a: Patient, media_root: Path, acts: list[tuple[str, int]]
) -> None:
    history = History(receive(clinician_a, patient_a, radiographs.png(1)), clinician_a)
    for act, which in acts:
        history.act(act, which)
    history.bring_to_an_end()
    heatmaps = sum(1 for path in (media_root / "heatmaps").rglob("*.png"))
    assert heatmaps == Result.objects.count(), "no late worker left its heatmap behind"
