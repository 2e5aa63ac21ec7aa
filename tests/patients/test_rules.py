"""Tidying and comparing names and record numbers."""

from __future__ import annotations

import datetime as dt
import unicodedata

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from screening.patients import rules
from screening.patients.normalise import mrn_key, name_key, tidy, without_hidden_characters

anything = st.text(max_size=80)


@given(anything)
def test_comparing_twice_changes_nothing(text: str) -> None:
    assert name_key(name_key(text)) == name_key(text)
    assert mrn_key(mrn_key(text)) == mrn_key(text)
    assert tidy(tidy(text)) == tidy(text)


@given(anything)
def test_case_and_outer_space_do_not_count(text: str) -> None:
    assert mrn_key(f"  {text}\t") == mrn_key(text)
    assert name_key(f"\n{text} ") == name_key(text)
    assert mrn_key(text.casefold()) == mrn_key(text)
    assert name_key(text.casefold()) == name_key(text)


@given(anything)
def test_an_accepted_record_number_is_tidy_and_keeps_its_key(text: str) -> None:
    try:
        mrn = rules.check_mrn(text)
    except ValidationError:
        return
    assert mrn == " ".join(mrn.split())
    assert 0 < len(mrn) <= 64
    assert not any(unicodedata.category(c).startswith("C") for c in mrn)
    assert mrn_key(mrn) == mrn_key(text)
    assert mrn_key(mrn)
    assert rules.check_mrn(mrn) == mrn


@pytest.mark.parametrize(
    ("one", "other"),
    [("ab-1", "AB-1"), ("ＡＢ１", "ab1"), ("a  1", " A 1 "), ("ﬁ7", "FI7"), ("straße", "STRASSE")],
)
def test_these_record_numbers_are_the_same(one: str, other: str) -> None:
    assert mrn_key(one) == mrn_key(other)


@pytest.mark.parametrize(("one", "other"), [("01", "1"), ("a-1", "a1"), ("é1", "e1")])
def test_these_record_numbers_are_not(one: str, other: str) -> None:
    assert mrn_key(one) != mrn_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller", "muller"),
        ("Mu\u0308ller", "MÜLLER"),
        ("İnönü", "inonu"),
        ("O’Neill", "o’neill"),
        ("Ωμέγα", "ωμεγα"),
    ],
)
def test_these_names_are_found_by_each_other(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(
    "name",
    [
        "José",
        "Nguyễn",
        "李",
        "Αθηνά",
        "محمد",
        "O'Neill-Smith",
        "van den Berg",
        "می‌خواهم",
        "X Æ A-12",
    ],
)
def test_names_of_the_world_are_kept_as_they_are(name: str) -> None:
    assert rules.check_family_name(name) == unicodedata.normalize("NFC", name)


def test_white_space_is_put_in_order() -> None:
    assert rules.check_family_name("  van\tden \u00a0 Berg\n") == "van den Berg"
    assert rules.check_mrn(" 12\u2003 34 ") == "12 34"


@pytest.mark.parametrize(
    "bad", ["a\x00b", "a\x07b", "a\u202eb", "a\u200bb", "a\ue000b", "a\udc80b"]
)
def test_invisible_characters_are_refused(bad: str) -> None:
    for rule in (rules.check_family_name, rules.check_given_name, rules.check_mrn):
        with pytest.raises(ValidationError, match="invisible"):
            rule(bad)
    assert without_hidden_characters(bad) == "ab"


@pytest.mark.parametrize("empty", ["", "   ", "\t\n"])
def test_a_family_name_and_a_record_number_are_needed(empty: str) -> None:
    for rule in (rules.check_family_name, rules.check_mrn):
        with pytest.raises(ValidationError, match="Enter"):
            rule(empty)
    assert rules.check_given_name(empty) == ""


def test_lengths_are_bounded() -> None:
    assert rules.check_family_name("x" * 120)
    assert rules.check_mrn("x" * 64)
    with pytest.raises(ValidationError, match="at most 120"):
        rules.check_given_name("x" * 121)
    with pytest.raises(ValidationError, match="at most 64"):
        rules.check_mrn("ﷺ" * 10)  # 18 characters each, once it is tidied


def test_birth_dates() -> None:
    today = timezone.localdate()
    assert rules.check_birth_date(None) is None
    assert rules.check_birth_date(today) == today
    assert rules.check_birth_date(dt.date(1870, 1, 1))
    with pytest.raises(ValidationError, match="future"):
        rules.check_birth_date(today + dt.timedelta(days=1))
    with pytest.raises(ValidationError, match="1870"):
        rules.check_birth_date(dt.date(1869, 12, 31))


def test_sex_is_one_of_dicom_or_not_known() -> None:
    assert [rules.check_sex(v) for v in ("F", "M", "O", "")] == ["F", "M", "O", ""]
    with pytest.raises(ValidationError):
        rules.check_sex("X")
