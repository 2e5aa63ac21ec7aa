"""The first people of an empty portal, from the command line."""

from __future__ import annotations

import io
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from screening.accounts.models import Membership, Site, User
from screening.audit.models import Event
from screening.core import private_files
from tests.personas import PASSWORD

pytestmark = pytest.mark.django_db


def run(command: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(command, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "first-login.txt"


def test_an_empty_portal_gets_a_site_an_admin_and_a_clinician(path: Path) -> None:
    told = run("setup_site", site="Lakeside", first_login_file=path, address="http://x:8000/")
    lines = path.read_text().splitlines()
    assert lines[0] == "address: http://x:8000/"
    logins = dict(line.split(": ", 1) for line in lines[1:])
    assert list(logins) == ["admin", "clinician"]
    for role, login in logins.items():
        username, password = login.split(" ")
        assert username == role
        assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", password)
        assert told.count(password) == 1
        assert (
            Client().post("/login/", {"username": username, "password": password}).status_code
            == 302
        )
        assert Membership.objects.get(user__username=username).role == role
    assert logins["admin"].split()[1] != logins["clinician"].split()[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]
    assert list(Event.objects.order_by("id").values_list("action", flat=True))[:3] == [
        "site.create",
        "user.create",
        "user.create",
    ]


def test_a_second_start_changes_nothing_and_says_so(path: Path) -> None:
    run("setup_site", site="Lakeside", first_login_file=path)
    before = path.read_text()
    assert "address" not in before
    told = run("setup_site", site="Other", first_login_file=path)
    assert told == "A site exists already; nothing was changed.\n"
    assert path.read_text() == before
    assert Site.objects.get().name == "Lakeside"


def test_without_the_file_there_are_no_users(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk must not leave accounts whose passwords nobody has seen."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(private_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        run("setup_site", site="Lakeside", first_login_file=path)
    assert not User.objects.exists()
    assert not Site.objects.exists()
    assert list(path.parent.iterdir()) == []


def test_the_file_of_a_start_that_crashed_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("admin: admin stale\n")
    path.chmod(0o644)
    run("setup_site", site="Lakeside", first_login_file=path)
    assert "stale" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_laid_in_the_way_is_not_followed(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("untouched")
    path.parent.mkdir()
    path.symlink_to(target)
    run("setup_site", site="Lakeside", first_login_file=path)
    assert target.read_text() == "untouched"
    assert not path.is_symlink()


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    return file


def test_a_production_portal_gets_its_first_admin(password_file: Path) -> None:
    told = run("create_admin", site="Main", username="Root.Admin", password_file=password_file)
    assert told == "root.admin can now sign in and manage Main.\n"
    assert PASSWORD not in told
    client = Client()
    client.post("/login/", {"username": "root.admin", "password": PASSWORD})
    assert client.get("/users/")["Location"].startswith("/account/second-factor/")
    run("create_admin", site="Main", username="second", password_file=password_file)
    assert Site.objects.count() == 1


@pytest.mark.parametrize(
    ("username", "password", "sentence"),
    [
        ("admin", "short", "too short"),
        ("taken", PASSWORD, "user name is taken"),
        ("a b", PASSWORD, "Use letters"),
        ("longadminname", "longadminname", "too similar"),
    ],
)
def test_an_unfit_admin_is_refused_and_leaves_nothing(
    password_file: Path, username: str, password: str, sentence: str
) -> None:
    User.objects.create_user("taken", password=PASSWORD)
    password_file.write_text(password)
    with pytest.raises(CommandError, match=sentence):
        run("create_admin", site="Main", username=username, password_file=password_file)
    assert not Site.objects.exists()


def test_without_a_terminal_or_a_file_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CommandError, match="Give --password-file"):
        run("create_admin", site="Main", username="root")
    with pytest.raises(CommandError, match="cannot be read: FileNotFoundError"):
        run("create_admin", site="Main", username="root", password_file=tmp_path / "none")
