"""Where no view answers, people get a page and programs get ``{code, message}``."""

from __future__ import annotations

import logging
import sys
from logging.config import dictConfig
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

from portal.logs import LineFormatter
from portal.urls import handler400, handler404, handler500
from screening.accounts.access import public

__all__ = ["handler400", "handler404", "handler500", "urlpatterns"]

pytestmark = pytest.mark.django_db
TOKEN = "/api/v1/auth/token/"


@public
def fails(request: HttpRequest, token: str = "") -> HttpResponse:
    try:
        return {"one": HttpResponse()}[request.GET.get("q", "")]
    except KeyError as error:
        raise ZeroDivisionError(request.GET.get("q", "")) from error


urlpatterns = [
    path("api/v1/fails/", fails),
    path("fails/", fails),
    path("fails/<str:token>/", fails),
    path("", include("portal.urls")),
]


def code_of(answer: Any, status: int) -> str:
    assert answer.status_code == status
    body = answer.json()
    assert set(body) == {"code", "message"}
    assert body["message"].endswith(".")
    return str(body["code"])


@pytest.mark.parametrize("address", ["/api/v1/nothing/", "/api/v1/studies/no-uuid/"])
def test_an_unknown_address_of_the_api(client: Client, address: str) -> None:
    assert code_of(client.get(address), 404) == "not_found"


@pytest.mark.urls("tests.portal.test_errors")
def test_a_fault_tells_programs_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    client = Client(raise_request_exception=False)
    answer = client.get("/api/v1/fails/?q=Grubenmann")
    assert code_of(answer, 500) == "internal_error"
    assert "Grubenmann" not in answer.content.decode()
    script = client.get("/fails/", headers={"Accept": "application/json"})
    assert code_of(script, 500) == "internal_error"
    page = client.get("/fails/")
    assert page.status_code == 500
    assert "Something went wrong" in page.content.decode()


@pytest.mark.urls("tests.portal.test_errors")
def test_the_log_of_a_fault_names_no_one(capfd: pytest.CaptureFixture[str]) -> None:
    dictConfig(settings.LOGGING)  # The handler writes to what is standard error now.
    Client(raise_request_exception=False).get("/fails/secret-token/?q=Grubenmann")
    told = capfd.readouterr().err
    assert "Internal Server Error: /fails/<str:token>/" in told
    assert "ZeroDivisionError" in told
    assert "KeyError" in told
    assert "in fails" in told
    assert "secret-token" not in told
    assert "Grubenmann" not in told


def test_the_log_tells_what_the_system_said_without_the_files_name() -> None:
    try:
        raise OSError(28, "No space left on device", "Grubenmann.dcm")
    except OSError:
        told = LineFormatter().formatException(sys.exc_info())
    assert told.endswith("builtins.OSError: No space left on device")
    assert "Grubenmann.dcm" not in told.splitlines()[-1]


def test_a_body_of_brackets_is_malformed(client: Client) -> None:
    answer = client.post(TOKEN, "[" * 100_000, content_type="application/json")
    assert code_of(answer, 400) == "malformed"


def test_a_body_that_is_too_large(client: Client) -> None:
    answer = client.post(TOKEN, "[" + "0," * 2_000_000 + "0]", content_type="application/json")
    assert code_of(answer, 413) == "request_too_large"


def test_a_form_of_countless_fields_is_malformed(client: Client) -> None:
    body = "&".join(f"field{n}=" for n in range(2000))
    answer = client.post(TOKEN, body, content_type="application/x-www-form-urlencoded")
    assert code_of(answer, 400) == "malformed"
    page = client.post("/login/", body, content_type="application/x-www-form-urlencoded")
    assert page.status_code == 400
    assert "not understood" in page.content.decode()


def test_the_log_of_a_refused_request_does_not_quote_it(capfd: pytest.CaptureFixture[str]) -> None:
    dictConfig(settings.LOGGING)
    assert Client().get("/", headers={"Host": "grubenmann.example.org"}).status_code == 400
    told = capfd.readouterr().err
    assert "a request was refused: DisallowedHost" in told
    assert "grubenmann" not in told
