"""A setting that makes no sense stops the start with its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.env import Env, celery_broker_url, postgres_from_url, with_password


@pytest.mark.parametrize(
    ("word", "value"),
    [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False), ("Off", False)],
)
def test_booleans_are_understood(word: str, value: bool) -> None:
    assert Env({"FLAG": word}).boolean("FLAG") is value


@pytest.mark.parametrize("word", ["ja", "2", "tru", "enabled", "None"])
def test_a_misspelt_boolean_stops_the_start(word: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="FLAG"):
        Env({"FLAG": word}).boolean("FLAG", False)


@pytest.mark.parametrize("word", ["ten", "1.5", "0", "11"])
def test_a_wrong_number_stops_the_start(word: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="COUNT"):
        Env({"COUNT": word}).integer("COUNT", low=1, high=10)


@pytest.mark.parametrize("word", ["0", "-3", "nan", "inf", "soon"])
def test_seconds_are_positive(word: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="LEASE"):
        Env({"LEASE": word}).seconds("LEASE", 5)


def test_an_empty_value_is_an_absent_one() -> None:
    env = Env({"A": "", "B": "  "})
    assert env.text("A", "default") == "default"
    assert env.integer("B", 7) == 7
    with pytest.raises(ImproperlyConfigured, match="A must be set"):
        env.text("A")


def test_a_choice_names_what_is_allowed() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"RUNTIME must be one of litert, keras"):
        Env({"RUNTIME": "onnx"}).choice("RUNTIME", ("litert", "keras"), "litert")


def test_a_list_has_no_empty_members() -> None:
    assert Env({"HOSTS": "a.example, b.example,,"}).words("HOSTS") == ["a.example", "b.example"]


def test_a_secret_comes_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    assert Env({"KEY_FILE": str(path)}).secret("KEY") == "s3cret"
    assert Env({"KEY": "inline"}).secret("KEY") == "inline"


def test_a_secret_given_twice_or_unreadable_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for source, sentence in [
        ({"KEY": "a", "KEY_FILE": str(empty)}, "not both"),
        ({"KEY_FILE": str(empty)}, "empty file"),
        ({"KEY_FILE": str(tmp_path / "absent")}, "cannot be read"),
        ({}, "KEY must be set"),
    ]:
        with pytest.raises(ImproperlyConfigured, match=sentence):
            Env(source).secret("KEY")


def test_a_postgres_url_becomes_a_database() -> None:
    found = postgres_from_url(
        "postgresql://por%40tal@db.example:5433/thora?sslmode=verify-full",
        name="DATABASE_URL",
        password="p@ss/word",
    )
    assert found["USER"] == "por@tal"
    assert found["PASSWORD"] == "p@ss/word"
    assert (found["HOST"], found["PORT"], found["NAME"]) == ("db.example", "5433", "thora")
    assert found["OPTIONS"]["sslmode"] == "verify-full"
    assert found["CONN_HEALTH_CHECKS"] is True


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///var/db.sqlite3",
        "postgresql://db.example",
        "postgresql://db.example:port/thora",
        "postgresql://db.example/thora?sslmod=require",
        "db.example/thora",
    ],
)
def test_a_wrong_database_url_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        postgres_from_url(url, name="DATABASE_URL")


def test_a_password_is_given_only_once() -> None:
    with pytest.raises(ImproperlyConfigured, match="only once"):
        postgres_from_url("postgresql://u:p@h/d", name="DATABASE_URL", password="q")
    with pytest.raises(ImproperlyConfigured, match="only once"):
        with_password("redis://:p@h/0", "q", name="REDIS_URL")


def test_a_redis_password_survives_any_character() -> None:
    assert with_password("redis://redis:6379/0", "a/b@c", name="REDIS_URL") == (
        "redis://:a%2Fb%40c@redis:6379/0"
    )


def test_the_broker_is_spelt_for_celery() -> None:
    assert celery_broker_url("unix:///v/redis.sock", name="R") == (
        "redis+socket:///v/redis.sock?virtual_host=0"
    )
    assert celery_broker_url("redis://h:6379/1", name="R") == "redis://h:6379/1"
    for wrong in ("amqp://h", "redis://", "h:6379"):
        with pytest.raises(ImproperlyConfigured, match="R must"):
            celery_broker_url(wrong, name="R")


@pytest.mark.parametrize(
    "value", ["http://log.example.org/", "https://", "log.example.org", "ftp://x"]
)
def test_an_address_that_is_not_encrypted_is_refused(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="AUDIT_WEBHOOK must begin with https://"):
        Env({"AUDIT_WEBHOOK": value}).https("AUDIT_WEBHOOK")


def test_an_encrypted_address_or_none_is_taken() -> None:
    assert Env({"A": "https://log.example.org/x"}).https("A") == "https://log.example.org/x"
    assert Env({}).https("A") == ""
