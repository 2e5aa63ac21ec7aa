"""German is complete, says what English says, and is compiled."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from babel.messages.pofile import read_po

from screening.accounts.models import User
from screening.accounts.services.preferences import set_preferences
from tests.personas import *  # noqa: F403  (fixtures)
from tests.personas import ClientOf
from tests.translations import catalogue

pytestmark = pytest.mark.once

EVERY = [
    pytest.param(language, domain, id=f"{language}-{domain}")
    for language in catalogue.LANGUAGES
    for domain in catalogue.DOMAINS
]
HOW = "run make translations, and translate what it lists"


@pytest.mark.parametrize(("language", "domain"), EVERY)
def test_every_sentence_is_translated(language: str, domain: str) -> None:
    assert catalogue.untranslated(catalogue.renewed(language, domain)) == [], HOW


@pytest.mark.parametrize(("language", "domain"), EVERY)
def test_the_compiled_catalogue_is_that_of_the_sentences(language: str, domain: str) -> None:
    path = catalogue.path_of(language, domain)
    with path.open("rb") as handle:
        kept = read_po(handle, locale=language, domain=domain)
    wanted = {(m.id, m.context) for m in catalogue.renewed(language, domain) if m.id}
    assert {(m.id, m.context) for m in kept if m.id} == wanted, HOW
    assert path.with_suffix(".mo").read_bytes() == catalogue.compiled(kept), HOW


@pytest.mark.parametrize(("language", "domain"), EVERY)
def test_a_translation_leaves_open_and_marks_up_what_the_sentence_does(
    language: str, domain: str
) -> None:
    for message in catalogue.renewed(language, domain):
        if not message.id:
            continue
        original = message.id if isinstance(message.id, str) else message.id[-1]
        tags = Counter(re.findall(r"</?\w+", original))
        for text in catalogue.translations(message):
            assert catalogue.places(text) == catalogue.places(original), text
            assert Counter(re.findall(r"</?\w+", text)) == tags, text
            assert text.count("%%") == original.count("%%"), text


def test_sentences_of_templates_are_found_in_all_their_forms() -> None:
    template = (
        '{% load i18n %}<p>{% translate "Hello" %}</p>\n'
        "   {% blocktranslate count n=n %}{{ n }} film{% plural %}{{ n }} films"
        "{% endblocktranslate %}{% include 'x' with y=_(\"why\") %}"
    )
    found = catalogue.as_python(template).decode()
    assert "gettext(u'Hello')" in found
    assert "ngettext(u'%(n)s film', u'%(n)s films', count)" in found
    assert '_("why")' in found


def test_a_page_is_german_from_top_to_bottom(clinician_a: User, client_of: ClientOf) -> None:
    set_preferences(user=clinician_a, language="de", time_zone="")
    page = client_of(clinician_a).get("/").content.decode()
    for word in ("Patient suchen", "Patienten", "Untersuchungen", "Abmelden", "keine Diagnose"):
        assert word in page
    for word in ("Find a patient", "Sign out", "Latest studies", "decides"):
        assert word not in page


def test_forms_and_complaints_are_german_too(client_of: ClientOf) -> None:
    response = client_of(None).post(
        "/login/", {"username": "x", "password": "y"}, headers={"Accept-Language": "de"}
    )
    page = response.content.decode()
    assert "Benutzername oder Passwort ist falsch" in page
    assert "Benutzername" in page
    assert "User name" not in page
