"""The exercises of chapter NN: right answers, and what wrong ones are told."""

from __future__ import annotations

import pytest
from ppml_helpers.room_name import alone

from ppml_helpers import cohort
from ppml_helpers.exercises import check


def test_right_answers() -> None:
    assert check("NN.1", alone(cohort.load_patients(), 5), record=False).right
    assert check("NN.2", 10, record=False).right
    assert check("NN.3", " No ", record=False).right


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("NN.1", lambda: 100 * alone(cohort.load_patients(), 5), "the percentage"),
        ("NN.1", lambda: alone(cohort.load_patients(), 1), "whole years"),
        ("NN.1", lambda: 0.5, "divide by all patients"),
        ("NN.2", lambda: 5, "turn the knob further"),
        ("NN.2", lambda: 40, "narrower band keeps it too"),
        ("NN.3", lambda: "yes", "did not look at"),
    ],
)
def test_wrong_answers_get_their_own_sentence(name: str, answer: object, words: str) -> None:
    reply = check(name, answer(), record=False)
    assert reply.kind == "wrong"
    assert words in reply.text
