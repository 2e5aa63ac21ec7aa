"""Everything that is said of an image can be said in another language."""

from __future__ import annotations

from ml import imaging, posture, quality, shortcut
from screening.inference import failures
from screening.inference.sentences import KNOWN, in_words
from screening.studies import refusals


def test_every_sentence_of_model_gate_and_workers_is_known() -> None:
    said = {
        *quality.MESSAGES.values(),
        quality.UNFAMILIAR,
        *posture.MESSAGES.values(),
        *shortcut.SENTENCES.values(),
        *failures.MESSAGES.values(),
    }
    assert said == set(KNOWN)


def test_what_is_not_known_stays_as_it_was_said() -> None:
    assert in_words("A sentence of a model yet to come.") == "A sentence of a model yet to come."
    assert in_words("") == ""


def test_every_refusal_of_a_file_is_known() -> None:
    assert set(refusals.KNOWN) == set(imaging.MESSAGES.values())
