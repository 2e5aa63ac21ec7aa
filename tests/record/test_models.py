"""The models that have answered at a site, and the card of each."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from screening.accounts.models import User
from screening.inference import packages
from screening.inference.models import ModelVersion, Result
from screening.studies.models import Image
from tests.personas import ClientOf
from tests.record import rows

pytestmark = pytest.mark.django_db


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def released() -> ModelVersion:
    """The model that ships, as a worker would have stored it."""
    manifest = packages.default_package().manifest
    assert manifest is not None
    return ModelVersion.objects.create(
        name=manifest["name"],
        version=manifest["version"],
        weights_sha256=manifest["sha256"]["model.keras"],
        preprocessing_version="1",
        manifest=manifest,
    )


def answered_by(image: Image, version: ModelVersion) -> Result:
    result = rows.finish(image)
    Result.objects.filter(pk=result.pk).update(model_version=version)
    return result


def test_the_list_counts_what_was_answered_at_the_own_site_only(
    client_of: ClientOf, clinician_a: User, clinician_b: User, image_a: Image, image_b: Image
) -> None:
    version = released()
    answered_by(image_a, version)
    answered_by(image_b, version)
    extra = rows.send_image(clinician_b, image_b.study.patient, seed=3)
    answered_by(extra, version)
    name = f"{version.name} {version.version} In use"
    assert f"{name} 1 " in text_of(client_of(clinician_a), "/models/")
    assert f"{name} 2 " in text_of(client_of(clinician_b), "/models/")


def test_a_version_that_answered_elsewhere_only_does_not_exist(
    client_of: ClientOf, clinician_a: User, image_b: Image
) -> None:
    version = rows.finish(image_b).model_version
    client = client_of(clinician_a)
    assert "phantom-net" not in text_of(client, "/models/")
    assert client.get(f"/models/{version.pk}/").status_code == 404


def test_the_installed_model_is_listed_before_it_has_answered(
    client_of: ClientOf, clinician_a: User, image_a: Image
) -> None:
    rows.finish(image_a)
    page = text_of(client_of(clinician_a), "/models/")
    assert page.index("In use No result yet.") < page.index("phantom-net 1.2.0")


def test_no_model_at_all_is_said(client_of: ClientOf, clinician_a: User, settings: Any) -> None:
    settings.THORASCREEN_MODEL = "/nowhere/at/all"
    assert "No model is installed" in text_of(client_of(clinician_a), "/models/")


def test_the_card_shows_the_worst_first_and_draws_without_styles(
    client_of: ClientOf, clinician_a: User, image_a: Image
) -> None:
    version = released()
    answered_by(image_a, version)
    answer = client_of(clinician_a).get(f"/models/{version.pk}/")
    page = answer.content.decode()
    part = version.manifest["metrics"]["test"]
    worst = min(one["accuracy"] for one in part["per_source"].values())
    assert page.index(f"{worst:.3f} [") < page.index(f"{part['accuracy']:.3f} [")
    for words in (version.weights_sha256, "Read this first", "This model answers now."):
        assert words in page
    drawn = page.count("<svg xmlns")
    assert drawn > 3
    assert page.count('class="figure"') == drawn
    assert "style=" not in page
    assert "<style" not in page
    assert "ROC, kermany" in page


def test_a_version_that_is_no_longer_installed_keeps_its_card(
    client_of: ClientOf, clinician_a: User, image_a: Image
) -> None:
    version = released()
    brief = {**version.manifest["metrics"]["test"]}
    brief.pop("data", None)
    changed = version.manifest | {"sha256": {"model.keras": "1" * 64}, "metrics": {"test": brief}}
    ModelVersion.objects.filter(pk=version.pk).update(weights_sha256="1" * 64, manifest=changed)
    answered_by(image_a, version)
    page = text_of(client_of(clinician_a), f"/models/{version.pk}/")
    assert "This model no longer answers here." in page
    assert "Lowest accuracy" in page
    assert "1" * 64 in page
    assert "not recorded with these figures" in page


@pytest.mark.parametrize(
    "manifest",
    [
        "{}",
        '{"metrics": {"test": {"n": 3}}}',
        '{"metrics": 7}',
        "[1, 2]",
        '{"name": "<script>alert(1)</script>", "limits": "<b>bold</b>"}',
    ],
)
def test_a_strange_manifest_breaks_no_page_and_is_never_markup(
    manifest: str, client_of: ClientOf, clinician_a: User, image_a: Image
) -> None:
    version = rows.finish(image_a).model_version
    ModelVersion.objects.filter(pk=version.pk).update(manifest=json.loads(manifest))
    answer = client_of(clinician_a).get(f"/models/{version.pk}/")
    assert answer.status_code == 200
    assert b"<script>alert" not in answer.content
    assert b"<b>bold" not in answer.content


def test_a_result_leads_to_the_card_of_its_model(
    client_of: ClientOf, clinician_a: User, image_a: Image
) -> None:
    version = rows.finish(image_a).model_version
    client = client_of(clinician_a)
    link = f'<a href="/models/{version.pk}/">phantom-net 1.2.0</a>'
    assert link in client.get(f"/studies/{image_a.study_id}/").content.decode()
    assert '<a href="/models/">Models</a>' in client.get("/").content.decode()


def test_a_card_takes_few_queries(
    client_of: ClientOf,
    clinician_a: User,
    image_a: Image,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    version = rows.finish(image_a).model_version
    client = client_of(clinician_a)
    client.get("/models/")
    for path in ("/models/", f"/models/{version.pk}/"):
        with django_assert_max_num_queries(16):
            client.get(path)
