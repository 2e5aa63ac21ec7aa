"""Several model versions side by side: each site is answered by its own, or not at all."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden, InvalidInput
from screening.inference import activations, engine, model_health, packages, services
from screening.inference.models import Activation, Job, LoadFailure, ModelVersion, Result
from screening.inference.packages import Package
from screening.patients.models import Patient
from screening.studies.models import Image, Status
from tests.inference.stages import job_of
from tests.inference.versions import damage, make_version
from tests.radiographs import png, receive

pytestmark = pytest.mark.django_db

REASON = "It misses fewer patients in our own studies."
AWAY_FROM_COVID = (-9.0, 0.0, 0.0)
TO_COVID = (9.0, 0.0, 0.0)


@pytest.fixture
def shelf(tmp_path: Path, settings: Any) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    settings.THORASCREEN_MODELS = str(folder)
    return folder


@pytest.fixture
def second(shelf: Path) -> Package:
    """A version that says COVID-19 of everything."""
    return make_version(shelf, "9.1.0", bias=TO_COVID)


def promote(actor: User, site: Site, package: Package, **more: Any) -> Activation:
    values: dict[str, Any] = {
        "reason": REASON,
        "reviewed": True,
        "seen": activations.answering_at(site.pk).mark,
        "thresholds": {"shown": "both"},
        **more,
    }
    return activations.activate(actor=actor, site=site, package=package, **values)


def answered(image: Image) -> Result:
    services.run_job(job_of(image).pk)
    return Result.objects.select_related("model_version").get(image=image)


# --- What is installed -------------------------------------------------------------------------


def test_every_package_is_listed_once_and_the_segmenter_is_none(
    shelf: Path, second: Package
) -> None:
    default = packages.default_package()
    make_version(shelf, "9.10.0")
    # The shipped one, copied: the same package in another place.
    (shelf / "copy").symlink_to(default.folder)
    listed = [str(package) for package in packages.installed()]
    assert listed.count(str(default)) == 1
    assert listed.index("thorascreen 9.1.0") < listed.index("thorascreen 9.10.0")
    assert not any("lungs" in name for name in listed)


def test_a_fingerprint_covers_what_shapes_answers_and_no_more(shelf: Path) -> None:
    first = make_version(shelf, "9.1.0")
    path = first.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "limits": "Other words."}))
    assert packages.examine(first.folder).fingerprint == first.fingerprint
    trust = first.folder / "trust.json"
    fitted = json.loads(trust.read_text())
    fitted["conformal"]["thresholds"]["covid"] /= 2
    trust.write_text(json.dumps(fitted))
    assert packages.examine(first.folder).fingerprint not in ("", first.fingerprint)


@pytest.mark.parametrize("text", ["{not json", "[]"])
def test_a_package_that_cannot_say_what_it_is_is_listed_as_broken(shelf: Path, text: str) -> None:
    folder = shelf / "strange"
    folder.mkdir()
    (folder / "manifest.json").write_text(text)
    (broken,) = [package for package in packages.installed() if not package.usable]
    assert (broken.name, broken.code, broken.fingerprint) == ("strange", "model_invalid", "")


# --- Which one answers -------------------------------------------------------------------------


def test_a_site_that_chose_nothing_is_answered_by_the_default(
    second: Package, clinician_a: User, patient_a: Patient
) -> None:
    result = answered(receive(clinician_a, patient_a))
    assert str(result.model_version) == str(packages.default_package())


def test_a_promotion_holds_at_its_own_site_only(
    second: Package,
    north: Site,
    admin_a: User,
    clinician_a: User,
    clinician_b: User,
    patient_a: Patient,
    patient_b: Patient,
) -> None:
    before = answered(receive(clinician_a, patient_a, png(1)))
    promote(admin_a, north, second)
    ours = answered(receive(clinician_a, patient_a, png(2)))
    theirs = answered(receive(clinician_b, patient_b, png(2)))
    assert ours.model_version.version == "9.1.0"
    assert ours.label == "covid"
    assert ours.evidence["operating_point"]["called"]
    assert theirs.model_version == before.model_version
    assert theirs.receipt["input_sha256"] == ours.receipt["input_sha256"]
    assert theirs.receipt["calibration_sha256"] != ours.receipt["calibration_sha256"]


def test_a_rollback_brings_back_the_very_same_answers(
    second: Package, north: Site, admin_a: User, clinician_a: User, patient_a: Patient
) -> None:
    before = answered(receive(clinician_a, patient_a))
    shipped = packages.default_package()
    promote(admin_a, north, second)
    row = promote(admin_a, north, shipped, reason="It called everybody.")
    assert row.kind == Activation.Kind.ROLL_BACK
    again = answered(receive(clinician_a, patient_a))
    assert again.receipt["output_sha256"] == before.receipt["output_sha256"]
    assert again.model_version == before.model_version


def test_two_sites_in_turn_get_each_its_own_and_always_the_same(
    second: Package,
    north: Site,
    admin_a: User,
    clinician_a: User,
    clinician_b: User,
    patient_a: Patient,
    patient_b: Patient,
) -> None:
    promote(admin_a, north, second)
    outputs: dict[str, set[str]] = {"north": set(), "south": set()}
    for _ in range(3):
        ours = answered(receive(clinician_a, patient_a, png(3)))
        theirs = answered(receive(clinician_b, patient_b, png(3)))
        outputs["north"].add(ours.receipt["output_sha256"])
        outputs["south"].add(theirs.receipt["output_sha256"])
    assert [len(found) for found in outputs.values()] == [1, 1]
    assert outputs["north"] != outputs["south"]


def test_more_versions_than_are_kept_loaded_still_answer_right(shelf: Path) -> None:
    many = [
        make_version(shelf, f"9.{number}.0", covid_threshold=number / 10)
        for number in range(1, engine.KEPT + 3)
    ]
    for _ in range(2):
        for package in many:
            assert engine._model(package.exact).exact == package.exact
    assert len(engine._kept) <= engine.KEPT


# --- Never another in its place ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        ("changed", "model_hash_mismatch"),
        ("gone", "model_missing"),
        ("other thresholds", "model_hash_mismatch"),
        ("cannot be loaded", "model_invalid"),
    ],
)
def test_a_broken_version_fails_its_own_sites_jobs_and_is_named(
    trouble: str,
    code: str,
    second: Package,
    north: Site,
    admin_a: User,
    clinician_a: User,
    clinician_b: User,
    patient_a: Patient,
    patient_b: Patient,
    client: Client,
) -> None:
    if trouble == "cannot be loaded":
        # Rubbish with the right hash: only a worker can find that out.
        (second.folder / "model.tflite").write_bytes(b"rubbish")
        manifest = json.loads((second.folder / "manifest.json").read_text())
        trust = json.loads((second.folder / "trust.json").read_text())
        from ml.package import hash_file

        hashes = manifest["sha256"] | {"model.tflite": hash_file(second.folder / "model.tflite")}
        manifest["sha256"] = trust["fitted_for"]["files"] = hashes
        (second.folder / "manifest.json").write_text(json.dumps(manifest))
        (second.folder / "trust.json").write_text(json.dumps(trust))
        promote(admin_a, north, packages.examine(second.folder))
    else:
        promote(admin_a, north, second)
    engine._kept.clear()  # A worker that starts now; one that had loaded it whole would go on.
    if trouble == "changed":
        damage(second)
    elif trouble == "gone":
        second.folder.rename(second.folder.with_name(".gone"))
        (second.folder.with_name(".gone") / "manifest.json").unlink()
    elif trouble == "other thresholds":
        trust = json.loads((second.folder / "trust.json").read_text())
        trust["conformal"]["thresholds"]["covid"] /= 2
        (second.folder / "trust.json").write_text(json.dumps(trust))

    ours = receive(clinician_a, patient_a)
    services.run_job(job_of(ours).pk)
    job = job_of(ours)
    assert (job.status, job.code, job.attempts) == (Status.FAILED, code, 1)
    assert not Result.objects.filter(image=ours).exists()
    theirs = answered(receive(clinician_b, patient_b))
    assert theirs.model_version.version != "9.1.0"

    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["model"] == "failed"
    (problem,) = answer.json()["problems"]
    assert (problem["model"], problem["code"]) == ("thorascreen 9.1.0", code)
    assert b"North" not in answer.content


def test_a_loaded_version_is_not_kept_for_another_fingerprint(
    second: Package, north: Site, admin_a: User, clinician_a: User, patient_a: Patient
) -> None:
    """What is in memory may answer for what was promoted, and for nothing else of that name."""
    promote(admin_a, north, second)
    answered(receive(clinician_a, patient_a, png(1)))
    trust = json.loads((second.folder / "trust.json").read_text())
    trust["conformal"]["thresholds"]["covid"] /= 2
    (second.folder / "trust.json").write_text(json.dumps(trust))
    refitted = packages.examine(second.folder)
    promote(admin_a, north, refitted, reason="Its thresholds were fitted anew.")
    result = answered(receive(clinician_a, patient_a, png(2)))
    assert result.receipt["thresholds_sha256"] == _sha256(second.folder / "trust.json")


def _sha256(path: Path) -> str:
    from ml.package import hash_file

    return hash_file(path)


def test_what_workers_met_is_forgotten_once_the_version_answers(
    second: Package,
    north: Site,
    admin_a: User,
    clinician_a: User,
    patient_a: Patient,
) -> None:
    promote(admin_a, north, second)
    model_health.note_load_failure(second.exact, "model_invalid")
    (trouble,) = model_health.check_models().troubles
    assert (trouble.model, trouble.code) == ("thorascreen 9.1.0", "model_invalid")
    answered(receive(clinician_a, patient_a))
    assert model_health.check_models().troubles == ()


def test_a_portal_whose_model_was_put_back_becomes_ready_without_a_new_image(
    second: Package, north: Site, admin_a: User, clinician_a: User, patient_a: Patient
) -> None:
    promote(admin_a, north, second)
    engine._kept.clear()
    aside = second.folder.rename(second.folder.with_name("aside.away"))
    (aside / "manifest.json").rename(aside / "kept.json")
    services.run_job(job_of(receive(clinician_a, patient_a)).pk)
    (trouble,) = model_health.check_models().troubles
    assert trouble.code == "model_missing"
    # file systems stamp by a clock some milliseconds late; nobody puts a file back that fast
    LoadFailure.objects.update(failed_at=timezone.now() - timedelta(seconds=1))
    (aside / "kept.json").rename(aside / "manifest.json")
    aside.rename(second.folder)
    assert model_health.check_models().troubles == ()


def test_a_failure_on_a_workers_own_disk_is_remembered_for_a_while(
    second: Package, north: Site, admin_a: User
) -> None:
    promote(admin_a, north, second)
    model_health.note_load_failure(second.exact, "model_missing")
    (trouble,) = model_health.check_models().troubles
    assert trouble.code == "model_missing"
    LoadFailure.objects.update(failed_at=timezone.now() - model_health.MEMORY)
    assert model_health.check_models().troubles == ()


def test_a_result_names_its_version_and_replays_with_several_installed(
    second: Package, north: Site, admin_a: User, clinician_a: User, patient_a: Patient
) -> None:
    first = answered(receive(clinician_a, patient_a, png(1)))
    promote(admin_a, north, second)
    later = answered(receive(clinician_a, patient_a, png(2)))
    promote(admin_a, north, packages.default_package(), reason="Back to the first one.")
    for result, version in ((first, str(packages.default_package())), (later, "thorascreen 9.1.0")):
        out = io.StringIO()
        call_command("replay_result", str(result.pk), stdout=out)
        assert f"{version} (" in out.getvalue()
        assert ": identical, largest difference 0" in out.getvalue()


# --- Deciding ----------------------------------------------------------------------------------


def test_a_promotion_is_written_down_whole(second: Package, north: Site, admin_a: User) -> None:
    shipped = packages.default_package()
    row = promote(admin_a, north, second, thresholds={"old": 0.4, "new": 0.5})
    row.refresh_from_db()
    assert (row.number, row.kind, row.actor, row.reason) == (1, "promote", admin_a, REASON)
    assert str(row.model_version) == "thorascreen 9.1.0"
    assert str(row.previous) == str(shipped)
    assert (row.fingerprint, row.previous_fingerprint) == (
        second.fingerprint,
        shipped.fingerprint,
    )
    assert row.thresholds == {"old": 0.4, "new": 0.5}
    event = Event.objects.get(action="model.activate")
    assert (event.actor_id, event.site_id) == (admin_a.pk, north.pk)
    assert event.detail["from"] == str(shipped)
    assert event.detail["to"] == "thorascreen 9.1.0"


def test_nobody_changes_what_was_decided(second: Package, north: Site, admin_a: User) -> None:
    row = promote(admin_a, north, second)
    for forbidden in (
        lambda: Activation.objects.filter(pk=row.pk).update(reason="Something else."),
        lambda: connection.cursor().execute("DELETE FROM inference_activation"),
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            forbidden()
    assert Activation.objects.get().reason == REASON


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"reason": "better"}, "invalid", "reason"),
        ({"reason": "   \n      \t   "}, "invalid", "reason"),
        ({"reason": "x" * 1001}, "invalid", "reason"),
        ({"reason": "a\x00 much better one"}, "invalid", "reason"),
        ({"reviewed": False}, "thresholds_not_reviewed", "reviewed"),
    ],
)
def test_a_promotion_wants_a_reason_and_a_review(
    change: dict[str, Any], code: str, field: str, second: Package, north: Site, admin_a: User
) -> None:
    with pytest.raises(InvalidInput) as caught:
        promote(admin_a, north, second, **change)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert not Activation.objects.exists()


def test_only_the_own_sites_admins_decide(
    second: Package, north: Site, clinician_a: User, admin_b: User, deactivated: User
) -> None:
    for person in (clinician_a, admin_b, deactivated):
        with pytest.raises(Forbidden):
            promote(person, north, second)
    assert not Activation.objects.exists()


def test_two_admins_at_once_do_not_overrule_each_other_unseen(
    shelf: Path, second: Package, north: Site, admin_a: User
) -> None:
    third = make_version(shelf, "9.2.0")
    seen = activations.answering_at(north.pk).mark
    promote(admin_a, north, second, seen=seen)
    with pytest.raises(Conflict) as caught:
        promote(admin_a, north, third, seen=seen)
    assert caught.value.code == "changed_meanwhile"
    assert Activation.objects.get().model_version.version == "9.1.0"


def test_what_answers_already_is_not_promoted_again(
    second: Package, north: Site, admin_a: User
) -> None:
    promote(admin_a, north, second)
    with pytest.raises(Conflict) as caught:
        promote(admin_a, north, second)
    assert caught.value.code == "already_answers"


def test_a_broken_version_is_not_promoted(second: Package, north: Site, admin_a: User) -> None:
    damage(second)
    with pytest.raises(Conflict) as caught:
        promote(admin_a, north, packages.examine(second.folder))
    assert caught.value.code == "model_broken"
    assert "model.tflite" in caught.value.message


def test_the_default_can_be_kept_whatever_a_later_release_names(
    shelf: Path, north: Site, admin_a: User, settings: Any, clinician_a: User, patient_a: Patient
) -> None:
    shipped = packages.default_package()
    row = promote(admin_a, north, shipped, reason="We stay with what we have tested.")
    assert row.kind == Activation.Kind.KEEP
    newer = make_version(shelf, "9.5.0", bias=AWAY_FROM_COVID)
    settings.THORASCREEN_MODEL = str(newer.folder)
    result = answered(receive(clinician_a, patient_a))
    assert str(result.model_version) == str(shipped)


def test_a_site_can_leave_a_version_that_broke(
    second: Package, north: Site, admin_a: User, clinician_a: User, patient_a: Patient
) -> None:
    promote(admin_a, north, second)
    damage(second)
    row = promote(admin_a, north, packages.default_package(), reason="The other one is broken.")
    assert (row.kind, str(row.previous)) == ("roll_back", "thorascreen 9.1.0")
    assert answered(receive(clinician_a, patient_a)).model_version != row.previous
    assert ModelVersion.objects.count() == 2
    assert Job.objects.get().status == Status.DONE
