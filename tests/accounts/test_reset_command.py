"""``manage.py reset_second_factor``: what the operator does when the last admin is locked out."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command

from screening.accounts.models import User
from screening.audit.models import Event


def test_it_gives_a_fresh_start_and_leaves_one_event(admin_a: User) -> None:
    call_command("reset_second_factor", username="Adam")
    assert not Authenticator.objects.filter(user=admin_a).exists()
    [event] = Event.objects.filter(action="second_factor.reset")
    assert (event.actor_name, event.object_id) == ("system", str(admin_a.pk))


@pytest.mark.parametrize(
    ("username", "sentence"), [("nobody", "no user"), ("alice", "no second factor")]
)
def test_it_says_what_is_wrong(clinician_a: User, username: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("reset_second_factor", username=username)
