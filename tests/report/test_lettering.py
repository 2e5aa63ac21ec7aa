"""Letters as they are printed: every European one, text that is never markup, right to left."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screening.report import lettering
from screening.report.lettering import BOLD, PLAIN, clean, lines, visual, width

EUROPEAN = (
    "Čeněk Žluťoučký Łukasz Gżegżółka Şükrü Iğdır İnci Ştefan Țăran Þórður Guðrún Ålesund Œuvre "
    "Straẞe ĦĠĊŻ ŵŷ ĳ ő ű ñ ç ã õ ŋ đ ģ ķ ļ ņ ė ų "
    "Ελληνικά Ἀθῆναι Ёлка Ґалаґан Њушко Ђорђе Ѓорче Қазақ Երևան თბილისი"
)


def test_every_european_letter_is_printed() -> None:
    printed, missing = clean(EUROPEAN)
    assert (printed, missing) == (EUROPEAN, 0)


def test_letters_of_other_scripts_are_counted_boxes() -> None:
    assert clean("山田 太郎 🫁") == ("□□ □□ □", 5)


def test_what_nobody_sees_is_taken_out_and_line_breaks_stay() -> None:
    assert clean("a\tb\r\nc\x00\x1b[31m\u202egpj\u200b\u2028d") == ("a b\nc[31mgpj d", 0)


def test_decomposed_letters_are_composed() -> None:
    assert clean("Mu\u0308ller")[0] == "Müller"


@given(st.text(max_size=400), st.sampled_from((PLAIN, BOLD)))
def test_no_text_leaves_its_column(text: str, name: str) -> None:
    printed, _ = clean(text)
    for line in lines(printed, name, 9, 120):
        assert width(line, name, 9) <= 120 or len(line) == 1


@given(
    st.text(alphabet=st.characters(codec="utf-8", categories=("L", "N", "P", "Z")), max_size=300)
)
def test_breaking_loses_no_letter(text: str) -> None:
    printed, _ = clean(text)
    broken = lines(printed, PLAIN, 9, 90)
    assert re.sub(r"\s", "", "".join(broken)) == re.sub(r"\s", "", printed)


@pytest.mark.parametrize(
    ("logical", "on_paper"),
    [
        ("plain (text) 12", "plain (text) 12"),
        ("שלום", "םולש"),
        ("see שלום here", "see םולש here"),
        ("שלום עולם", "םלוע םולש"),
        ("מטופל 123 כאן", "ןאכ 123 לפוטמ"),
        ("שלום (אבג)", "(גבא) םולש"),
        ("Patient: שלום, 45", "Patient: םולש, 45"),
    ],
)
def test_right_to_left_runs_are_turned(logical: str, on_paper: str) -> None:
    assert visual(logical) == on_paper


@given(st.text(max_size=200))
def test_turning_loses_no_letter(text: str) -> None:
    mirrored = str.maketrans("()[]{}<>«»‹›", "((((((((((((")
    assert sorted(visual(text).translate(mirrored)) == sorted(text.translate(mirrored))


def test_the_fonts_are_the_published_ones() -> None:
    said = (lettering._FOLDER / "README.md").read_text(encoding="utf-8")
    for name in (PLAIN, BOLD):
        data = (lettering._FOLDER / f"{name}.ttf").read_bytes()
        assert f"{hashlib.sha256(data).hexdigest()}  {name}.ttf" in said
    assert (lettering._FOLDER / "LICENSE").exists()
