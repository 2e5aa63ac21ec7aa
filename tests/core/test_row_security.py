"""Site isolation in the database: what a web request can see and write there without any filter."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import DatabaseError, connection, models, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

from screening.accounts.models import Membership, Site, User
from screening.core import row_policies, row_security
from screening.core.middleware import RowSecurityMiddleware
from screening.core.row_rules import NotLimited, rule_of
from screening.core.row_security import NOTHING, Reach, lifted, limited_to
from screening.patients.models import Patient
from screening.studies.models import Study
from tests.core.everything import make_everything, make_traces
from tests.personas import ClientOf, make_patient
from tests.record import rows

ROOT = Path(__file__).resolve().parent.parent.parent

# Who lifts the limits within a request, and why that may be.
LIFTED = {
    "screening/retention/services.py": "an erasure takes along reviews of other sites",
    "screening/report/selectors.py": "whoever holds a report's code may learn whether it holds",
    "screening/inference/model_health.py": "the readiness probe: has this version answered at all",
    "screening/emergency/services.py": "finding, opening and ending a record of another site",
    "screening/emergency/rules.py": "shutting out people of other sites ends what they opened",
    "screening/studies/services.py": "whether a study's key is taken, at whatever site",
}


def leads_to_a_site(model: type[models.Model], seen: tuple[type[models.Model], ...] = ()) -> bool:
    """Whether a chain of foreign keys leads from ``model`` to a site or a patient."""
    for field in model._meta.concrete_fields:
        other = field.related_model
        if not isinstance(other, type) or other in seen:
            continue
        if other in (Site, Patient) or leads_to_a_site(other, (*seen, model)):
            return True
    return False


def test_every_table_from_which_a_way_leads_to_a_site_says_who_may_see_its_rows() -> None:
    silent = [
        model._meta.label
        for model in apps.get_models()
        if leads_to_a_site(model) and rule_of(model) is None
    ]
    assert silent == [], "declare row_security on these models, see screening.core.row_rules"
    assert leads_to_a_site(Study), "the walk must find something"


def test_whatever_is_not_limited_has_a_reason() -> None:
    reasons = [
        rule.reason for one in apps.get_models() if isinstance(rule := rule_of(one), NotLimited)
    ]
    assert reasons
    assert all(len(reason) > 30 for reason in reasons)


def test_the_limits_are_lifted_in_known_places_only() -> None:
    found = set()
    for folder in ("screening", "portal"):
        for file in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            names = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
            names |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
            if "lifted" in names:
                found.add(str(file.relative_to(ROOT)))
    assert found == set(LIFTED)


# --- On PostgreSQL -------------------------------------------------------------------------------


def role_now() -> tuple[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_setting('thorascreen.sites', true)")
        found: tuple[str, str] = cursor.fetchone()
    return found


def break_the_transaction() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")


@pytest.fixture
def owner(db: None) -> Iterator[str]:
    """Who works outside requests; also at the end of the test."""
    name = role_now()[0]
    yield name
    assert role_now()[0] == name


@pytest.fixture
def both_sites(
    owner: str, clinician_a: User, clinician_b: User, patient_a: Patient, patient_b: Patient
) -> dict[Site, User]:
    """A row of every limited table, at North and at South."""
    for user, patient, seed in ((clinician_a, patient_a, 1), (clinician_b, patient_b, 2)):
        make_everything(user, patient, seed=seed)
        make_traces(user, patient)
    return {patient_a.site: clinician_a, patient_b.site: clinician_b}


def of_member(user: User) -> Reach:
    sites = Membership.objects.filter(user=user).values_list("site_id", flat=True)
    return Reach(person=user.pk, sites=frozenset(sites))


@pytest.mark.server
def test_without_any_filter_a_request_sees_its_own_sites_rows_only(
    both_sites: dict[Site, User],
) -> None:
    limited = row_policies.limited_models()
    counted: dict[type[models.Model], list[int]] = {model: [] for model in limited}
    for user in both_sites.values():
        with limited_to(of_member(user)):
            for model in limited:
                found = list(model._default_manager.values_list("pk", flat=True))
                with connection.cursor() as cursor:
                    cursor.execute(f"SELECT count(*) FROM {model._meta.db_table}")  # noqa: S608
                    raw = cursor.fetchone()[0]
                assert raw == len(found), model
                counted[model].append(raw)
    for model, counts in counted.items():
        assert min(counts) > 0, f"{model._meta.label} has no row here: see make_everything"
        assert sum(counts) == model._default_manager.count(), model
    with limited_to(NOTHING):
        assert [model for model in limited if model._default_manager.exists()] == []


@pytest.mark.server
def test_another_sites_row_can_be_neither_written_nor_changed_nor_removed(
    both_sites: dict[Site, User], clinician_a: User, patient_b: Patient
) -> None:
    study = Study.objects.get(patient=patient_b)
    with limited_to(of_member(clinician_a)):
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            make_patient(patient_b.site, mrn="X-1")
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            Study.objects.create(site=patient_b.site, patient=patient_b, uploaded_by=clinician_a)
        assert Patient.objects.filter(pk=patient_b.pk).update(family_name="Stolen") == 0
        assert Study.objects.filter(pk=study.pk)._raw_delete("default") == 0
        own = make_patient(next(iter(both_sites)), mrn="X-2")
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            Patient.objects.filter(pk=own.pk).update(site=patient_b.site)
    patient_b.refresh_from_db()
    assert patient_b.family_name == "Suárez"


@pytest.mark.server
def test_an_opened_patient_is_read_with_all_that_belongs_to_it_and_not_written(
    both_sites: dict[Site, User], clinician_a: User, patient_b: Patient
) -> None:
    other = make_patient(patient_b.site, mrn="S-9")
    reach = of_member(clinician_a)
    opened = Reach(reach.person, reach.sites, frozenset({patient_b.pk}))
    readable = {
        "patients.Patient", "patients.LegalHold", "studies.Study", "studies.Image",
        "studies.ConfirmedDiagnosis", "inference.Job", "inference.Result",
        "inference.ShadowAnswer", "reading.Reading", "reading.FirstImpression", "reading.Addendum",
        "reading.Discrepancy", "reading.Measurements", "report.Report",
        "report.Withdrawal", "insight.ImageStatistics",
    }  # fmt: skip
    for model in row_policies.limited_models():
        with limited_to(reach):
            own = model._default_manager.count()
        with limited_to(opened):
            more = model._default_manager.count() - own
        assert bool(more) == (model._meta.label in readable), model
    with limited_to(opened):
        assert Patient.objects.filter(pk=patient_b.pk).exists()
        assert not Patient.objects.filter(pk=other.pk).exists()
        assert Patient.objects.filter(pk=patient_b.pk).update(family_name="Changed") == 0
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            Study.objects.create(site=patient_b.site, patient=patient_b, uploaded_by=clinician_a)


def answer(view: Callable[[HttpRequest], Any]) -> Any:
    return RowSecurityMiddleware(view)(RequestFactory().get("/"))


@pytest.mark.server
def test_after_a_request_the_connection_is_as_it_was(owner: str, clinician_a: User) -> None:
    reach = of_member(clinician_a)
    seen = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(role_now())
        row_security.widen(person=clinician_a.pk, sites=reach.sites)
        seen.append(role_now())
        return HttpResponse("ok")

    answer(view)
    assert [role for role, _ in seen] == [f"{owner}_web"] * 2
    assert seen[0][1] == "{}"
    assert str(next(iter(reach.sites))) in seen[1][1]
    assert role_now() == (owner, "{}")


@pytest.mark.server
def test_an_exception_in_a_view_leaves_the_connection_clean(owner: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with transaction.atomic():
            break_the_transaction()
        raise AssertionError

    with pytest.raises(DatabaseError):
        answer(view)
    assert role_now() == (owner, "{}")


@pytest.mark.server
def test_a_failed_transaction_takes_no_limit_off(owner: str, north: Site) -> None:
    with limited_to(Reach(sites=frozenset({north.pk}))):
        with pytest.raises(DatabaseError), transaction.atomic(), lifted():
            break_the_transaction()
        assert role_now()[0] == f"{owner}_web"


@pytest.mark.server
@pytest.mark.django_db(transaction=True)
def test_a_connection_lost_and_made_anew_is_limited_before_its_first_query(
    owner: str, patient_a: Patient
) -> None:
    with limited_to(NOTHING):
        connection.close()
        assert not Patient.objects.exists()
        assert role_now()[0] == f"{owner}_web"
        connection.close()
        with transaction.atomic():
            assert not Patient.objects.exists()
            transaction.set_rollback(True)
        assert role_now()[0] == f"{owner}_web"
    assert Patient.objects.exists()


@pytest.mark.server
def test_a_body_made_while_it_is_sent_stays_limited(
    both_sites: dict[Site, User], clinician_a: User, patient_a: Patient
) -> None:
    sites = of_member(clinician_a).sites

    def view(request: HttpRequest) -> StreamingHttpResponse:
        row_security.widen(person=clinician_a.pk, sites=sites)
        return StreamingHttpResponse(p.family_name for p in Patient.objects.all())

    response = answer(view)
    assert role_now()[1] == "{}"
    assert b"".join(response) == patient_a.family_name.encode()
    broken = answer(view)
    assert next(iter(broken))
    for close in broken._resource_closers:  # The browser went away in the middle.
        close()
    assert role_now()[1] == "{}"


@pytest.mark.server
def test_pages_work_under_the_role_and_one_person_follows_the_other(
    both_sites: dict[Site, User], client_of: ClientOf, patient_a: Patient, patient_b: Patient
) -> None:
    for user, own, other in zip(
        both_sites.values(), (patient_a, patient_b), (patient_b, patient_a), strict=True
    ):
        client = client_of(user)
        assert own.mrn in client.get("/patients/").content.decode()
        assert client.get(f"/patients/{other.pk}/").status_code == 404
        lines = b"".join(client.get("/studies/csv/")).decode()  # type: ignore[arg-type]
        assert own.mrn in lines
        assert other.mrn not in lines


@pytest.mark.server
@pytest.mark.django_db(transaction=True)
def test_a_thread_sees_whom_its_own_request_belongs_to(
    north: Site, south: Site, patient_a: Patient, patient_b: Patient
) -> None:
    """One thread serves one request after the other, while others serve other people."""
    failures: list[object] = []

    def serve(site: Site, patient: Patient) -> None:
        try:
            for _ in range(10):
                with limited_to(Reach(sites=frozenset({site.pk}))):
                    found = set(Patient.objects.values_list("pk", flat=True))
                    if found != {patient.pk}:
                        failures.append((site, found))
        finally:
            connection.close()

    for people in (
        ((north, patient_a), (south, patient_b)),
        ((south, patient_b), (north, patient_a)),
    ):
        threads = [threading.Thread(target=serve, args=one) for one in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def film(seed: int) -> SimpleUploadedFile:
    return SimpleUploadedFile("chest.png", rows.phantom(seed), "image/png")


@pytest.mark.server
def test_a_study_key_of_another_site_is_no_error_of_ours(
    both_sites: dict[Site, User], client_of: ClientOf, clinician_a: User, patient_a: Patient,
    patient_b: Patient,
) -> None:  # fmt: skip
    taken = Study.objects.get(patient=patient_b)
    sent = {"image": film(77)}
    where = f"/patients/{patient_a.pk}/uploads/{taken.pk}/"
    assert client_of(clinician_a).post(where, sent).status_code == 404
    assert client_of(clinician_a).post(
        f"/patients/{patient_a.pk}/uploads/{uuid4()}/", {"image": film(78)}
    ).status_code == 201  # fmt: skip


@pytest.mark.server
def test_migrate_puts_back_a_policy_that_was_taken_away(owner: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP POLICY portal_read ON patients_patient")
        cursor.execute("ALTER TABLE studies_study DISABLE ROW LEVEL SECURITY")
    assert row_policies.missing(connection) == ["patients_patient", "studies_study"]
    call_command("migrate", verbosity=0)
    assert row_policies.missing(connection) == []


@pytest.mark.server
def test_without_the_role_the_portal_says_so(
    owner: str, settings: Any, client_of: ClientOf
) -> None:
    settings.DATABASE_WEB_ROLE = "nobody_made_it"
    found = client_of(None).get("/readyz").json()
    assert found["checks"]["isolation"] == "failed"
    (problem,) = [one for one in found["problems"] if one["check"] == "isolation"]
    assert problem["code"] == "row_security_missing"
    settings.DATABASE_ROW_SECURITY = "required"
    with pytest.raises(DatabaseError), transaction.atomic(), limited_to(NOTHING):
        Patient.objects.exists()
