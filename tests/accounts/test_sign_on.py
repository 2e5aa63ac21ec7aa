"""Signing in at an identity provider: a real one answers over HTTP, or a forged answer of it."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import reverse

from portal.env import Env
from portal.sign_on import read_sign_on
from screening.accounts.models import Membership, OutsideIdentity, Role, Site, User
from screening.accounts.services.devices import make_device
from screening.accounts.sign_on.config import ROLES, GroupRole, SignOn
from screening.audit.models import Event
from tests.oidc import Claims, Provider, running_provider
from tests.personas import PASSWORD, membership_of

GROUPS = (
    GroupRole("n-readers", "North Hospital", "clinician"),
    GroupRole("n-admins", "North Hospital", "admin"),
    GroupRole("s-readers", "South Hospital", "clinician"),
    GroupRole("lost", "A site that is gone", "clinician"),
)


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider, settings: Any, north: Site, south: Site) -> Provider:
    running.reset()
    settings.SIGN_ON = SignOn(
        name="North IT",
        issuer=running.base,
        client_id="thorascreen",
        client_secret="a-secret-of-the-client",
        groups=GROUPS,
    )
    running.person(
        "s-1",
        preferred_username="Nora.North",
        given_name="Nora",
        family_name="Northey",
        email="nora@example.org",
        email_verified=True,
        groups=["n-readers"],
    )
    return running


def sign_on(provider: Provider, subject: str = "s-1", client: Client | None = None) -> Any:
    """Go the whole way; the answer to the browser's return."""
    client = client or Client()
    away = client.get("/sign-on/?next=/patients/")
    assert away.status_code == 302, away.content
    assert away["Location"].startswith(f"{provider.base}/oauth2/authorize?")
    answer = client.get(provider.answer(away["Location"], subject))
    answer.browser = client
    return answer


def refused(answer: Any, code: str) -> bool:
    assert answer["Location"] == f"/login/?closed={code}"
    assert "_auth_user_id" not in answer.browser.session
    assert Event.objects.filter(action="session.refuse", detail__reason=code).count() == 1
    return True


def held_by(user: User) -> dict[str, str]:
    found = Membership.objects.filter(user=user, is_active=True).select_related("site")
    return {membership.site.name: membership.role for membership in found}


class TestTheFirstTime:
    def test_groups_make_an_account_with_their_roles(self, provider: Provider) -> None:
        provider.person("s-1", preferred_username="Nora.North", groups=["n-admins", "s-readers"])
        answer = sign_on(provider)
        assert answer["Location"] == "/patients/"
        user = User.objects.get()
        assert (user.username, user.has_usable_password()) == ("nora.north", False)
        assert held_by(user) == {"North Hospital": "admin", "South Hospital": "clinician"}
        identity = OutsideIdentity.objects.get()
        assert (identity.issuer, identity.subject) == (provider.base, "s-1")
        [event] = Event.objects.filter(action="session.start")
        assert event.actor_id == user.pk

    def test_it_is_one_click_from_the_log_in_page(self, provider: Provider) -> None:
        page = Client().get("/login/?next=/studies/").content.decode()
        assert "Sign in with North IT" in page
        assert "/sign-on/?next=/studies/" in page

    @pytest.mark.parametrize("groups", [[], ["strangers"], ["lost"], None, 7, {"n-readers": 1}])
    def test_without_a_group_that_counts_nothing_is_made(
        self, provider: Provider, groups: Any
    ) -> None:
        provider.person("s-1", preferred_username="nora", groups=groups)
        assert refused(sign_on(provider), "sso_no_role")
        assert not User.objects.exists()

    def test_a_user_name_that_is_taken_is_not_taken_over(
        self, provider: Provider, clinician_a: User
    ) -> None:
        provider.person("s-1", preferred_username="Alice", groups=["s-readers"])
        sign_on(provider)
        assert User.objects.filter(username="alice-2").exists()
        assert held_by(clinician_a) == {"North Hospital": "clinician"}

    def test_the_strongest_role_of_a_site_counts(self, provider: Provider) -> None:
        provider.person("s-1", groups=["n-admins", "n-readers"])
        sign_on(provider)
        assert held_by(User.objects.get()) == {"North Hospital": "admin"}

    def test_groups_may_stand_in_the_user_info_alone(self, provider: Provider) -> None:
        provider.forge(lambda claims: {k: v for k, v in claims.items() if k != "groups"})
        assert sign_on(provider)["Location"] == "/patients/"
        assert "/userinfo" in [path for path, _sent in provider.seen]


class TestLater:
    @pytest.fixture
    def nora(self, provider: Provider) -> User:
        sign_on(provider)
        return User.objects.get()

    def test_the_same_person_has_the_same_account(self, provider: Provider, nora: User) -> None:
        provider.person(
            "s-1", preferred_username="renamed", email="new@x.org", groups=["n-readers"]
        )
        sign_on(provider)
        assert User.objects.get() == nora

    def test_roles_follow_the_groups_up_down_and_away(
        self, provider: Provider, nora: User, admin_a: User
    ) -> None:
        for groups, held in (
            (["n-admins"], {"North Hospital": "admin"}),
            (
                ["n-readers", "s-readers"],
                {n: "clinician" for n in ("North Hospital", "South Hospital")},
            ),
            (["s-readers"], {"South Hospital": "clinician"}),
            (["n-readers"], {"North Hospital": "clinician"}),
        ):
            provider.person("s-1", groups=groups)
            sign_on(provider)
            assert held_by(nora) == held

    def test_who_lost_every_group_is_out_and_so_are_the_open_sessions(
        self, provider: Provider, nora: User
    ) -> None:
        open_since_before = sign_on(provider).browser
        assert open_since_before.get("/account/").status_code == 200
        provider.person("s-1", groups=[])
        assert refused(sign_on(provider), "sso_no_role")
        assert held_by(nora) == {}
        assert "/login/" in open_since_before.get("/account/")["Location"]

    def test_whom_an_admin_ended_no_group_brings_back(
        self, provider: Provider, nora: User, admin_a: User, client_of: Any
    ) -> None:
        client_of(admin_a).post(f"/users/{membership_of(nora).pk}/deactivate/")
        assert held_by(nora) == {}
        assert refused(sign_on(provider), "sso_no_role")

    def test_what_an_admin_gave_by_hand_stays(
        self, provider: Provider, nora: User, south: Site
    ) -> None:
        Membership.objects.create(user=nora, site=south, role=Role.CLINICIAN)
        sign_on(provider)
        assert held_by(nora) == {n: "clinician" for n in ("North Hospital", "South Hospital")}

    def test_proving_it_again_takes_a_fresh_proof_there(
        self, provider: Provider, nora: User, settings: Any
    ) -> None:
        """Else a session left open would prove itself by the provider's own open session."""
        browser = sign_on(provider).browser
        settings.RECENT_SIGN_IN_S = 1
        for age, fresh in ((3600, False), (None, False), (0, True)):
            at = None if age is None else int(time.time()) - age
            provider.forge(lambda claims, at=at: {**claims, "auth_time": at})  # type: ignore[misc]
            proved = browser.session["identity_proved_at"]
            answer = sign_on(provider, client=browser)
            assert (answer["Location"] == "/patients/") is fresh
            assert (browser.session["identity_proved_at"] > proved) is fresh
        [asked] = {s["prompt"] for p, s in provider.seen if "prompt" in s}
        assert asked == "login"

    def test_every_change_leaves_an_event(self, provider: Provider, nora: User) -> None:
        provider.person("s-1", groups=["n-admins"])
        sign_on(provider)
        [event] = Event.objects.filter(action="user.set_role")
        assert event.detail == {"from": "clinician", "to": "admin", "by": "sign_on"}


class TestLinking:
    def verified(self, provider: Provider, verified: Any = True, **claims: Any) -> None:
        given = {"email": "Alice@example.org", "email_verified": verified, "groups": ["s-readers"]}
        provider.person("s-1", **{**given, **claims})

    def test_an_address_links_nothing_unless_the_operator_says_so(
        self, provider: Provider, clinician_a: User
    ) -> None:
        self.verified(provider)
        sign_on(provider)
        assert OutsideIdentity.objects.get().user != clinician_a

    def test_a_verified_address_links_the_one_person_who_has_it(
        self, provider: Provider, clinician_a: User, settings: Any
    ) -> None:
        settings.SIGN_ON = replace(settings.SIGN_ON, link_verified_email=True)
        self.verified(provider)
        sign_on(provider)
        assert OutsideIdentity.objects.get().user == clinician_a
        assert held_by(clinician_a) == {"South Hospital": "clinician"}

    @pytest.mark.parametrize("verified", [False, None, "true", 1])
    def test_an_unverified_one_never_does(
        self, provider: Provider, clinician_a: User, settings: Any, verified: Any
    ) -> None:
        settings.SIGN_ON = replace(settings.SIGN_ON, link_verified_email=True)
        self.verified(provider, verified)
        sign_on(provider)
        assert OutsideIdentity.objects.get().user != clinician_a

    def test_nor_one_that_two_have_nor_that_of_a_device(
        self,
        provider: Provider,
        clinician_a: User,
        clinician_b: User,
        admin_a: User,
        north: Site,
        settings: Any,
    ) -> None:
        settings.SIGN_ON = replace(settings.SIGN_ON, link_verified_email=True)
        User.objects.filter(pk=clinician_b.pk).update(email=clinician_a.email)
        self.verified(provider)
        sign_on(provider)
        device = make_device(actor=admin_a, site=north, name="Room")
        User.objects.filter(pk=device.user_id).update(email="room@example.org")
        provider.person("s-2", email="room@example.org", email_verified=True, groups=["s-readers"])
        sign_on(provider, "s-2")
        linked = {one.user for one in OutsideIdentity.objects.all()}
        assert len(linked) == 2
        assert not linked & {clinician_a, clinician_b, device.user}

    def test_the_last_local_admin_stays_whatever_the_groups_say(
        self, provider: Provider, admin_a: User, settings: Any
    ) -> None:
        settings.SIGN_ON = replace(settings.SIGN_ON, link_verified_email=True)
        for groups in (["s-readers"], ["n-readers"], []):
            self.verified(provider, email=admin_a.email, groups=groups)
            sign_on(provider)
            assert held_by(admin_a)["North Hospital"] == "admin"
        client = Client()
        answer = client.post("/login/", {"username": "adam", "password": PASSWORD})
        assert answer["Location"] == reverse("accounts:prove_second_factor")
        assert Event.objects.filter(action="user.keep_last_admin").exists()

    def test_an_admin_without_a_password_is_no_local_one(
        self, provider: Provider, admin_a: User, settings: Any
    ) -> None:
        provider.person("s-9", preferred_username="chief", groups=["n-admins"])
        sign_on(provider, "s-9")  # A second admin of North, who depends on the provider.
        settings.SIGN_ON = replace(settings.SIGN_ON, link_verified_email=True)
        self.verified(provider, email=admin_a.email, groups=["s-readers"])
        sign_on(provider)
        assert held_by(admin_a)["North Hospital"] == "admin"


class TestSecondFactor:
    def test_the_provider_s_counts_only_where_the_setting_says_so(
        self, provider: Provider, settings: Any, admin_a: User
    ) -> None:
        provider.person("s-1", groups=["n-admins"], amr=["pwd", "otp"])
        browser = sign_on(provider).browser
        assert "/account/second-factor/" in browser.get("/patients/")["Location"]
        settings.SIGN_ON = replace(settings.SIGN_ON, second_factor=frozenset({"otp", "hwk"}))
        assert sign_on(provider).browser.get("/patients/").status_code == 200
        provider.person("s-1", groups=["n-admins"], amr=["pwd"])
        browser = sign_on(provider).browser
        assert "/account/second-factor/" in browser.get("/patients/")["Location"]


# What each forgery changes, and who would be taken in by it.
FORGED: dict[str, Callable[[Claims], Claims | None]] = {
    "another attempt's nonce": lambda c: {**c, "nonce": "another"},
    "no nonce": lambda c: {k: v for k, v in c.items() if k != "nonce"},
    "another issuer": lambda c: {**c, "iss": "https://evil.example"},
    "for another client": lambda c: {**c, "aud": "another"},
    "for several, of another": lambda c: {**c, "aud": ["thorascreen", "another"], "azp": "another"},
    "for nobody": lambda c: {k: v for k, v in c.items() if k != "aud"},
    "expired": lambda c: {**c, "exp": int(time.time()) - 60},
    "for ever": lambda c: {k: v for k, v in c.items() if k != "exp"},
    "from the future": lambda c: {**c, "iat": int(time.time()) + 600},
    "about nobody": lambda c: {**c, "sub": ""},
    "not there": lambda c: None,
}


@pytest.mark.once
class TestForgeries:
    def test_the_forger_is_believed_when_nothing_is_changed(self, provider: Provider) -> None:
        """So that it is the change, and not the forger's hand, that is refused below."""
        provider.forge(lambda claims: claims)
        assert sign_on(provider)["Location"] == "/patients/"

    @pytest.mark.parametrize("what", FORGED)
    def test_a_changed_token_lets_nobody_in(self, provider: Provider, what: str) -> None:
        provider.forge(FORGED[what])
        assert refused(sign_on(provider), "sso_failed")
        assert not User.objects.exists()

    def test_nor_one_that_another_key_has_signed(self, provider: Provider) -> None:
        provider.forge(lambda claims: claims)
        provider.publish = False
        assert refused(sign_on(provider), "sso_failed")

    @pytest.mark.parametrize("algorithm", ["none", "HS256"])
    def test_nor_one_without_a_key_pair(self, provider: Provider, algorithm: str) -> None:
        provider.forge(lambda claims: claims, algorithm)
        assert refused(sign_on(provider), "sso_failed")

    def test_nor_user_info_about_somebody_else(self, provider: Provider) -> None:
        provider.forge(lambda c: {k: v for k, v in {**c, "sub": "s-2"}.items() if k != "groups"})
        assert refused(sign_on(provider), "sso_failed")

    def test_a_discovery_that_names_another_issuer_leads_nowhere(self, provider: Provider) -> None:
        provider.discovery = {"issuer": "https://evil.example"}
        assert Client().get("/sign-on/")["Location"] == "/login/?closed=sso_failed"

    def test_the_code_is_bound_to_this_browser_by_state_and_pkce(self, provider: Provider) -> None:
        client = Client()
        away = client.get("/sign-on/")["Location"]
        asked = dict(parse_qsl(urlsplit(away).query))
        back = provider.answer(away, "s-1")
        assert Client().get(back)["Location"] == "/login/?closed=sso_failed"  # somebody else's
        assert client.get(back)["Location"] == "/"
        [sent] = [sent for path, sent in provider.seen if path == "/oauth2/token"]
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        assert (asked["code_challenge"], asked["code_challenge_method"]) == (expected, "S256")
        client.post("/logout/")
        assert client.get(back)["Location"] == "/login/?closed=sso_failed"  # a second time

    def test_the_way_back_leads_to_no_other_host(self, provider: Provider) -> None:
        client = Client()
        away = client.get("/sign-on/?next=https://evil.example/")["Location"]
        assert client.get(provider.answer(away, "s-1"))["Location"] == "/"

    def test_whoever_says_no_there_is_told_so_here(self, provider: Provider) -> None:
        client = Client()
        back = provider.answer(client.get("/sign-on/")["Location"], "s-1", deny=True)
        if "state" not in back:  # The provider leaves it out; real ones may not.
            back += "&state=" + dict(parse_qsl(urlsplit(provider.seen[-1][0]).query)).get(
                "state", ""
            )
        page = client.get(back, follow=True).content.decode()
        assert "Signing in elsewhere" in page


def test_a_provider_that_is_away_leaves_the_password(
    provider: Provider, settings: Any, clinician_a: User
) -> None:
    settings.SIGN_ON = replace(settings.SIGN_ON, issuer="http://127.0.0.1:9")
    client = Client()
    page = client.get("/sign-on/", follow=True).content.decode()
    assert "cannot be reached" in page
    assert client.post("/login/", {"username": "alice", "password": PASSWORD}).status_code == 302


@pytest.mark.once
class TestSettings:
    GOOD = '[{"group": "g", "site": "North Hospital", "role": "admin"}]'

    def read(self, tmp_path: Any, groups: str = GOOD, **more: str) -> SignOn | None:
        (tmp_path / "groups.json").write_text(groups)
        given = {
            "OIDC_ISSUER": "https://id.example.org",
            "OIDC_NAME": "Example",
            "OIDC_CLIENT_ID": "thorascreen",
            "OIDC_CLIENT_SECRET": "secret",
            "OIDC_GROUPS_FILE": str(tmp_path / "groups.json"),
        }
        return read_sign_on(Env({**given, **more}))

    def test_good_ones(self, tmp_path: Any) -> None:
        config = self.read(tmp_path, OIDC_SECOND_FACTOR="otp, hwk")
        assert config is not None
        assert config.second_factor == {"otp", "hwk"}
        assert not config.link_verified_email
        assert "secret" not in repr(config)
        assert read_sign_on(Env({})) is None

    @pytest.mark.parametrize(
        "groups",
        [
            "",
            "[]",
            "{}",
            "7",
            '[{"group": "g"}]',
            '[{"group": "", "site": "N", "role": "admin"}]',
            '[{"group": "g", "site": "N", "role": "device"}]',
            '[{"group": 1, "site": "N", "role": "admin"}]',
        ],
    )
    def test_a_map_that_makes_no_sense_stops_the_start(self, tmp_path: Any, groups: str) -> None:
        with pytest.raises(ImproperlyConfigured, match="OIDC_GROUPS_FILE"):
            self.read(tmp_path, groups)

    @pytest.mark.parametrize("issuer", ["http://id.example.org", "id.example.org", "https://x?y=1"])
    def test_so_does_an_issuer_that_anybody_could_pretend_to_be(
        self, tmp_path: Any, issuer: str
    ) -> None:
        with pytest.raises(ImproperlyConfigured, match="OIDC_ISSUER"):
            self.read(tmp_path, OIDC_ISSUER=issuer)

    def test_the_roles_are_the_portal_s(self) -> None:
        assert list(ROLES) == [role for role, _label in Role.of_people()]
