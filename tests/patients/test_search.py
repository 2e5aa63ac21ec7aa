"""Searching patients: who is found, in which order, and that an index does the work."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from screening.accounts.models import Membership, Site, User
from screening.core.errors import InvalidInput
from screening.patients.models import Patient
from screening.patients.normalise import mrn_key, name_key
from screening.patients.selectors import search_patients
from tests.personas import make_patient, make_user


def found(user: User, text: str = "", **options: Any) -> list[str]:
    return [str(p) for p in search_patients(user, text=text, **options).patients]


@pytest.fixture
def ward(north: Site, south: Site) -> None:
    for number, (family, given_name) in enumerate(
        [
            ("Müller", "Anna"),
            ("Mueller", "Bert"),
            ("Muller", "Zoë"),
            ("Berg", "Anna Maria"),
            ("van den Berg", "Jan"),
            ("Ämmälä", "Müge"),
            ("100 Dinge", ""),
        ]
    ):
        make_patient(north, mrn=f"N-{number:03d}", family_name=family, given_name=given_name)
    make_patient(south, mrn="N-000", family_name="Müller", given_name="Of South")


@pytest.mark.usefixtures("ward")
class TestWhatIsFound:
    def test_without_a_text_everybody_by_name(self, clinician_a: User) -> None:
        assert found(clinician_a) == [
            "100 Dinge",
            "Ämmälä, Müge",
            "Berg, Anna Maria",
            "Mueller, Bert",
            "Müller, Anna",
            "Muller, Zoë",
            "van den Berg, Jan",
        ]

    @pytest.mark.parametrize("text", ["mul", "MÜL", " Mül", "müll"])
    def test_the_beginning_of_a_family_name_whatever_case_and_accents(
        self, clinician_a: User, text: str
    ) -> None:
        assert found(clinician_a, text)[:2] == ["Müller, Anna", "Muller, Zoë"]

    def test_family_names_before_given_names(self, clinician_a: User) -> None:
        assert found(clinician_a, "mu") == [
            "Mueller, Bert",
            "Müller, Anna",
            "Muller, Zoë",
            "Ämmälä, Müge",
        ]

    def test_family_comma_given(self, clinician_a: User) -> None:
        assert found(clinician_a, "mul, an") == ["Müller, Anna"]
        assert found(clinician_a, "mul,") == ["Müller, Anna", "Muller, Zoë"]
        assert found(clinician_a, ", anna") == ["Müller, Anna", "Berg, Anna Maria"]
        assert found(clinician_a, ",") == []

    def test_two_names_in_either_order(self, clinician_a: User) -> None:
        assert found(clinician_a, "anna mul") == found(clinician_a, "mul anna") == ["Müller, Anna"]
        assert found(clinician_a, "van den") == ["van den Berg, Jan"]

    def test_the_beginning_of_a_record_number_comes_first(self, clinician_a: User) -> None:
        assert found(clinician_a, "n-00")[0] == "Müller, Anna"
        assert len(found(clinician_a, "n-00")) == 7
        assert found(clinician_a, "100") == ["100 Dinge"]

    def test_exactly_one_record_number(self, clinician_a: User) -> None:
        assert found(clinician_a, mrn="n-003") == ["Berg, Anna Maria"]
        assert found(clinician_a, mrn="n-00") == []

    @pytest.mark.parametrize(
        "text",
        ["%", "_", "\\", "'", "\x00", "m\x00u\x00zzz", "\udc80", "😀", "x" * 5000, "\U0010ffff"],
    )
    def test_strange_texts_find_nobody_and_break_nothing(
        self, clinician_a: User, text: str
    ) -> None:
        assert found(clinician_a, text) in ([], found(clinician_a))

    def test_nobody_of_another_site(self, clinician_b: User) -> None:
        assert found(clinician_b) == ["Müller, Of South"]
        assert found(clinician_b, "berg") == []

    def test_nobody_for_somebody_who_left(self, deactivated: User) -> None:
        assert found(deactivated, "m") == []


def walk(user: User, *, size: int, text: str = "") -> list[list[Patient]]:
    """All pages forwards; checks that going back shows the same pages."""
    pages = [search_patients(user, text=text, size=size)]
    while pages[-1].next:
        pages.append(search_patients(user, text=text, cursor=pages[-1].next, size=size))
        assert len(pages) < 200
    assert pages[0].previous == ""
    back = pages[-1]
    for expected in reversed(pages[:-1]):
        back = search_patients(user, text=text, cursor=back.previous, size=size)
        assert [p.pk for p in back.patients] == [p.pk for p in expected.patients]
    assert back.previous == ""
    return [page.patients for page in pages]


def test_pages_show_everybody_once_there_and_back(clinician_a: User, north: Site) -> None:
    for number in range(23):
        make_patient(north, mrn=f"{number}", family_name="Same", given_name="Name")
    pages = walk(clinician_a, size=5)
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    assert len({p.pk for page in pages for p in page}) == 23


def test_a_member_of_two_sites_gets_one_merged_list(
    clinician_a: User, north: Site, south: Site
) -> None:
    Membership.objects.create(user=clinician_a, site=south, role="clinician")
    for number, site in zip(range(12), itertools.cycle((north, south)), strict=False):
        make_patient(site, family_name=f"Name{number:02d}")
    pages = walk(clinician_a, size=5)
    names = [p.family_name for page in pages for p in page]
    assert names == [f"Name{number:02d}" for number in range(12)]


def test_a_cursor_names_no_patient_and_opens_no_other_site(
    clinician_a: User, clinician_b: User, north: Site
) -> None:
    for number in range(4):
        make_patient(north, family_name=f"Geheimrat{number}")
    cursor = search_patients(clinician_a, size=2).next
    assert "geheimrat" not in cursor.lower()
    with pytest.raises(InvalidInput):
        search_patients(clinician_b, cursor=cursor)


@pytest.mark.parametrize("cursor", ["x", "next.0.zz", "next.9." + "0" * 32, "next.0." + "0" * 32])
def test_a_damaged_cursor_is_refused(clinician_a: User, cursor: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        search_patients(clinician_a, cursor=cursor)
    assert refusal.value.code == "bad_cursor"


letters = st.text(alphabet="abAB1é ,-", max_size=5)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(people=st.lists(st.tuples(letters, letters), max_size=14), text=letters)
def test_search_agrees_with_looking_at_every_row(
    db: None, people: list[tuple[str, str]], text: str
) -> None:
    site = Site.objects.create(name=f"Site {Site.objects.count()}")
    user = make_user(site)
    patients = [
        make_patient(site, mrn=f"{'a' if n % 2 else '1'}{n}", family_name=f, given_name=g)
        for n, (f, g) in enumerate(people)
    ]

    def meant(p: Patient) -> bool:
        family, given_name, name = name_key(p.family_name), name_key(p.given_name), name_key(text)
        by_mrn = mrn_key(p.mrn).startswith(mrn_key(text))
        if not name:
            return True
        if "," in name:
            left, right = (part.strip() for part in name.split(",", 1))
            named = family.startswith(left) and given_name.startswith(right)
            return by_mrn or (bool(left or right) and named)
        first, _, rest = name.partition(" ")
        return (
            by_mrn
            or family.startswith(name)
            or given_name.startswith(name)
            or (
                bool(rest)
                and (
                    (family.startswith(first) and given_name.startswith(rest))
                    or (family.startswith(rest) and given_name.startswith(first))
                )
            )
        )

    seen = [p.pk for page in walk(user, size=3, text=text) for p in page]
    assert len(seen) == len(set(seen))
    assert set(seen) == {p.pk for p in patients if meant(p)}


def plans(run: Any) -> list[str]:
    """How the database answers each query on patients that ``run`` makes."""
    with CaptureQueriesContext(connection) as captured:
        run()
    found_plans = []
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    for query in captured.captured_queries:
        if 'FROM "patients_patient"' not in query["sql"]:
            continue
        with connection.cursor() as cursor:
            cursor.execute(explain + query["sql"])
            found_plans.append("\n".join(str(row[-1]) for row in cursor.fetchall()))
    return found_plans


@pytest.fixture
def many(north: Site, south: Site) -> Site:
    """Enough rows for a planner to care; half of them at the other site."""
    rows = [
        Patient(
            site=north if n % 2 else south,
            mrn=f"{n:06d}",
            family_name=f"{'abcdefghij'[n % 10]}{n * 7919 % 20000}",
            given_name=f"{'klmnopqrst'[n // 10 % 10]}{n * 104729 % 20000}",
        )
        for n in range(12000)
    ]
    Patient.objects.bulk_create(rows, batch_size=2000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return north


def test_every_kind_of_search_is_a_range_of_an_index_and_sorts_nothing(
    clinician_a: User, many: Site
) -> None:
    kinds: dict[str, dict[str, str]] = {
        "all": {},
        "a later page": {"cursor": search_patients(clinician_a, size=20).next},
        "family name": {"text": "a1"},
        "given name": {"text": "k1"},
        "both": {"text": "a1, k"},
        "record number": {"mrn": "004711"},
        "beginning of a record number": {"text": "0047"},
    }
    for kind, arguments in kinds.items():
        for plan in plans(lambda a=arguments: search_patients(clinician_a, size=20, **a)):
            assert "SEARCH patients_patient" in plan or "Scan using patient" in plan, (
                f"{kind}:\n{plan}"
            )
            assert "TEMP B-TREE" not in plan, f"{kind}:\n{plan}"
