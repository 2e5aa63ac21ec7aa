"""CSV from this portal runs no formula in a spreadsheet, and loses nothing else."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screening.core.spreadsheets import csv_lines, plain


@pytest.mark.parametrize("start", [*"=+-@\t\r\n＝＋－＠", "  ="])
def test_what_could_start_a_formula_is_made_plain(start: str) -> None:
    assert plain(f"{start}cmd|' /C calc'!A0").startswith("'")


@pytest.mark.parametrize("value", ["Müller-Lüdenscheidt", "a=b", "", -1.5, 7, None])
def test_all_else_stays_as_it_is(value: object) -> None:
    assert plain(value) == value


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=3, max_size=3)))
def test_every_text_comes_back(rows: list[list[str]]) -> None:
    text = "".join(csv_lines(("a", "b", "c"), rows))
    assert text.startswith("\ufeff")
    heading, *found = csv.reader(io.StringIO(text[1:], newline=""))
    assert heading == ["a", "b", "c"]
    for sent, got in zip(rows, found, strict=True):
        for before, after in zip(sent, got, strict=True):
            assert after in (before, "'" + before)
            assert not after.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))
