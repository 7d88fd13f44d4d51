"""The exercises of chapter 11: right answers, and what wrong ones are told."""

from __future__ import annotations

import pytest

from ppml_helpers import cohort
from ppml_helpers.choose import alone
from ppml_helpers.exercises import check


def test_right_answers() -> None:
    assert check("11.1", alone(cohort.load_patients(), 5), record=False).right
    assert check("11.2", 10, record=False).right
    assert check("11.3", " No ", record=False).right


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("11.1", lambda: 100 * alone(cohort.load_patients(), 5), "the percentage"),
        ("11.1", lambda: alone(cohort.load_patients(), 1), "whole years"),
        ("11.1", lambda: 0.5, "divide by all patients"),
        ("11.2", lambda: 5, "turn the knob further"),
        ("11.2", lambda: 40, "narrower band keeps it too"),
        ("11.3", lambda: "yes", "did not look at"),
    ],
)
def test_wrong_answers_get_their_own_sentence(name: str, answer: object, words: str) -> None:
    reply = check(name, answer(), record=False)
    assert reply.kind == "wrong"
    assert words in reply.text
