"""The exercises of chapter 03b: right answers, and what wrong ones are told."""

from __future__ import annotations

import pytest

from ppml_helpers import cohort
from ppml_helpers.exercises import check
from ppml_helpers.synthetic_tables import alone


def test_right_answers() -> None:
    assert check("03b.1", alone(cohort.load_patients(), 5), record=False).right
    assert check("03b.2", 10, record=False).right
    assert check("03b.3", " No ", record=False).right


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("03b.1", lambda: 100 * alone(cohort.load_patients(), 5), "the percentage"),
        ("03b.1", lambda: alone(cohort.load_patients(), 1), "whole years"),
        ("03b.1", lambda: 0.5, "divide by all patients"),
        ("03b.2", lambda: 5, "turn the knob further"),
        ("03b.2", lambda: 40, "narrower band keeps it too"),
        ("03b.3", lambda: "yes", "did not look at"),
    ],
)
def test_wrong_answers_get_their_own_sentence(name: str, answer: object, words: str) -> None:
    reply = check(name, answer(), record=False)
    assert reply.kind == "wrong"
    assert words in reply.text
