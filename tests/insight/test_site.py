"""The page "Site": what an administrator finds there."""

from __future__ import annotations

from django.urls import reverse

from screening.accounts.models import User
from screening.insight.hub import GROUPS
from tests.personas import ClientOf


def test_an_administrator_finds_everything_and_every_door_opens(
    admin_a: User, client_of: ClientOf
) -> None:
    client = client_of(admin_a)
    page = client.get("/site/").content.decode()
    assert "North Hospital" in page
    entries = [entry for group in GROUPS for entry in group.entries]
    assert len(entries) >= 10
    for entry in entries:
        address = reverse(entry.url_name)
        assert f'href="{address}"' in page
        assert client.get(address).status_code == 200, address


def test_only_an_administrator_is_offered_the_site(
    clinician_a: User, admin_a: User, client_of: ClientOf
) -> None:
    assert 'href="/site/"' in client_of(admin_a).get("/").content.decode()
    assert 'href="/site/"' not in client_of(clinician_a).get("/").content.decode()
