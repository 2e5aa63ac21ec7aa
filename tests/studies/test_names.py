"""File names of other people: shown, never believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screening.studies.names import clean_name


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("chest.png", "chest.png"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/var/www/shell.php", "shell.php"),
        ("..", ""),
        ("", ""),
        ("a\0b\r\nc.png", "abc.png"),
        ("photo\u202egnp.exe", "photognp.exe"),
        ("zero\u200bwidth.png", "zerowidth.png"),
        ("\udcff\udcfe.png", ".png"),
        ("Röntgen Thorax 1.dcm", "Röntgen Thorax 1.dcm"),
        ("胸部X线.jpg", "胸部X线.jpg"),
        ("  spaced.png  ", "spaced.png"),
    ],
)
def test_only_the_visible_last_part_is_kept(given_name: str, shown: str) -> None:
    assert clean_name(given_name) == shown


def test_a_long_name_keeps_its_extension() -> None:
    name = clean_name("x" * 5_000 + ".dicom")
    assert len(name) == 255
    assert name.endswith("x.dicom")


@given(st.text(st.characters(), max_size=600))
def test_any_name_is_safe_and_stays_as_it_is(name: str) -> None:
    clean = clean_name(name)
    assert len(clean) <= 255
    assert "/" not in clean
    assert "\\" not in clean
    assert clean.isprintable() or "\xa0" in clean or any(c.isspace() for c in clean)
    assert clean_name(clean) == clean
    clean.encode()
