"""The exercises of chapter 11: right answers in several forms, and what wrong ones are told."""

from __future__ import annotations

import numpy as np
import pytest
from answers import cells, reply

from ppml_helpers import accounting, cohort
from ppml_helpers.choose import exercises, making, scoreboard
from ppml_helpers.choose.chooser import choose

ROWS = {row.technique: row for row in scoreboard.load(making.COMMITTED)}
MODELS = [row for row in ROWS.values() if row.advantage_interval]
HOLD = sum(row.advantage_interval[0] <= 0 <= row.advantage_interval[1] for row in MODELS)
NAMED = ROWS["pseudonymised"].reidentified


def years(limit: float = 3.0) -> int:
    noise = accounting.noise_multiplier(1.0, 1.0, 100)
    return next(n for n in range(1, 60) if accounting.epsilon(noise, 1.0, 100 * (n + 1)) > limit)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("11.1", HOLD),
        ("11.1", float(HOLD)),
        ("11.1", np.int64(HOLD)),
        ("11.2", years()),
        ("11.2", float(years())),
        ("11.3", "federated + masks"),
        ("11.3", " Federated + masks "),
        ("11.4", ("reidentified", NAMED)),
        ("11.4", ["reidentified", round(NAMED, 2)]),
        ("11.4", ("read", 1)),
        ("11.5", list(exercises.NEEDED)),
        ("11.5", {"hday", "age", "scoma", "dzgroup"}),
    ],
)
def test_right_answers(name: str, answer: object) -> None:
    assert reply(name, answer) == ""


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("11.1", len(MODELS) - HOLD, "does tell from guessing"),
        ("11.1", sum(row.advantage <= 0 for row in MODELS), "look at its interval"),
        ("11.1", len(MODELS), "far above 0"),
        ("11.1", len(ROWS), "far above 0"),
        ("11.1", 5.5, "begins at 0 or below"),
        ("11.2", 3, "adds up epsilons"),
        ("11.2", 9, "faster than the root"),
        ("11.2", 12, "Twelve models of epsilon 1 come to epsilon 4.0"),
        ("11.2", 5, "one more model does too"),
        ("11.2", 40, "More than epsilon 3"),
        ("11.3", "federated", "The server sees updates: the server reads 100 %"),
        ("11.3", "federated + noise", "less useful"),
        ("11.3", "federated + masks + noise", "less useful"),
        ("11.3", "private training, epsilon 1", "one table"),
        ("11.3", "synthetic table, epsilon 1", "What leaves with it is records"),
        ("11.4", ("advantage", 0.0), "the records themselves leave"),
        ("11.4", ("auc", 0.81), "how useful"),
        ("11.4", ("seconds", 0.1), "who is named"),
        ("11.4", ("reidentified", 100 * NAMED), "the percentage"),
        ("11.4", ("reidentified", 0.5), "its value is another"),
        ("11.4", "reidentified", "Give a pair"),
        ("11.5", exercises.NEEDED[:3], "The first 3 reach less"),
        ("11.5", (*exercises.NEEDED, "meanbp"), "fewer columns do too"),
        ("11.5", cohort.SUPPORT2.columns, "what is necessary"),
        ("11.5", ("dzgroup", "and scoma", "and age", "and hday"), "take the word off"),
        ("11.5", ("dzgroup", "scoma", "age", "crea"), "from the top"),
        ("11.5", ("hospdead",), "none of the 26"),
        ("11.5", "dzgroup", "square brackets"),
        ("11.5", 4, "square brackets"),
    ],
)
def test_wrong_answers_get_their_own_sentence(name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)


def test_the_third_leaves_a_choice_between_three() -> None:
    left = [row.technique for row in choose(list(ROWS.values()), exercises.WISH).left]
    assert left == ["federated + masks", "federated + noise", "federated + masks + noise"]


def test_the_fifth_is_what_the_chapters_table_shows() -> None:
    [shown] = [output.data["text/plain"] for output in cells("11_choose")["review-columns"].outputs if "data" in output]
    rows = [line.split() for line in shown.splitlines()[2:]]
    enough = next(place for place, row in enumerate(rows) if float(row[-1]) >= 0.80)
    assert tuple(row[-2] for row in rows[: enough + 1]) == exercises.NEEDED
    assert tuple(row[-2] for row in rows[enough + 1 : -1]) == exercises._NEXT
