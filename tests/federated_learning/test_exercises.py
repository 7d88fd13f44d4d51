"""The exercises of chapter 07: right answers in several forms, and what wrong ones are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from answers import cells, reply

from ppml_helpers import accounting
from ppml_helpers.federated_learning import exercises as chapter_07
from ppml_helpers.federated_learning.app.federated_hospitals.masking import decode

PLAN = {
    "line": "tls",
    "server": "masks",
    "patient": "noise in the hospital",
    "took part": "noise at the server",
    "liar": "median",
}


def epsilon(steps: int, sample_rate: float = 0.1) -> float:
    return accounting.epsilon(2.0, sample_rate, steps)


# Attacks on masks that are used twice ----------------------------------------------------------------------------


def ratio(change: np.ndarray) -> np.ndarray:
    return change[:-1] / change[-1]


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return ratio(decode(second - first))


def other_way_round(first: np.ndarray, second: np.ndarray) -> list[float]:
    return ratio(decode(first - second)).tolist()


def in_python(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Subtract whole numbers of any size, as somebody does who distrusts overflow."""
    change = [(int(b) - int(a)) % 2**64 for a, b in zip(first, second, strict=True)]
    return ratio(np.array([value - 2**64 if value >= 2**63 else value for value in change], dtype=float))


def spoils_its_input(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    second -= first
    first[:] = 0
    return ratio(decode(second))


def not_decoded(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return ratio((second - first).astype(float))


def sum_of_nights(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return ratio(decode(first + second))


RIGHT = [
    ("07.1", 0.08),
    ("07.1", np.array([0.08])),
    ("07.1", (100 * 0.8 + 300 * 0.2 - 600 * 0.1) / 1000),
    ("07.2", epsilon(600)),
    ("07.2", accounting.compose([(2.0, 0.1, 300), (2.0, 0.1, 300)])),
    ("07.2", round(epsilon(600), 2)),
    ("07.2", 6.17),  # Opacus' PRV accountant
    ("07.2", 6.68),  # Opacus' and dp-accounting's RDP accountants
    ("07.3", PLAN),
    ("07.3", {wish: measure.upper() for wish, measure in reversed(PLAN.items())}),
    ("07.4", difference),
    ("07.4", other_way_round),
    ("07.4", in_python),
    ("07.4", spoils_its_input),
]

WRONG = [
    ("07.1", 0.3, "each hospital counts the same"),
    ("07.1", 80, "Divide it by the number of all patients"),
    ("07.1", 80 / 3, "by the number of hospitals"),
    ("07.1", 0.2, "That is the median"),
    ("07.1", 0.9, "the sum of the three weights"),
    ("07.1", -0.2, "lies between"),
    ("07.1", 0.1, "share of all patients"),
    ("07.1", [0.8, 0.2, -0.1], "this holds 3 values"),
    ("07.2", epsilon(300), "in the steps of two"),
    ("07.2", 2 * epsilon(300), "promises too little"),
    ("07.2", 10 * epsilon(300), "never saw this patient"),
    ("07.2", epsilon(3000), "all ten hospitals"),
    ("07.2", epsilon(40), "That is one round"),
    ("07.2", epsilon(600, 1.0), "take part in every step"),
    ("07.2", epsilon(300, 0.2), "not twice the chance"),
    ("07.2", 0, "above 0"),
    ("07.2", 600, "how many steps"),
    ("07.2", epsilon(630), "That bound holds, but it is loose"),  # 21 steps a round
    ("07.2", 15.0, "That bound holds, but it is loose: 2.4 times"),
    ("07.3", "masks", "its keys are 'line', 'server'"),
    ("07.3", {"line": "tls"}, "its keys are 'line', 'server'"),
    ("07.3", PLAN | {"line": "a firewall"}, "this is 'a firewall', and the choices are"),
    ("07.3", PLAN | {"line": "masks"}, "not the model on its way down"),
    ("07.3", PLAN | {"server": "tls"}, "TLS ends at the server"),
    ("07.3", PLAN | {"server": "noise at the server"}, "has seen the update before"),
    ("07.3", PLAN | {"patient": "masks"}, "Masks vanish from the sum"),
    ("07.3", PLAN | {"patient": "noise at the server", "took part": "noise in the hospital"}, "And 1 more"),
    ("07.3", PLAN | {"took part": "noise in the hospital"}, "Its unit is one patient"),
    ("07.3", PLAN | {"liar": "masks"}, "harder to see"),
    ("07.4", True, "give the function itself"),
    ("07.4", not_decoded, "masking.decode reads it"),
    ("07.4", lambda first, second: ratio(decode(first)), "read one night alone"),
    ("07.4", lambda first, second: decode(second - first)[:-1], "an error times the features"),
    ("07.4", lambda first, second: decode(second - first), "That holds 40 numbers"),
    ("07.4", lambda first, second: 3.0, "an array of shape ()"),
    ("07.4", sum_of_nights, "0 of 20 newcomers are read"),
    ("07.4", lambda first, second: np.full(39, np.nan), "makes the mask vanish"),
    ("07.4", lambda first: first, "stopped with TypeError"),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers(name: str, answer: object) -> None:
    assert reply(name, answer) == ""


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)


def test_every_wrong_measure_has_its_own_sentence() -> None:
    said = [
        reply("07.3", PLAN | {wish: measure})
        for wish in PLAN
        for measure in chapter_07.MEASURES
        if measure != PLAN[wish]
    ]
    assert "" not in said
    assert len(set(said)) == len(said) == 20


def test_two_nights_are_masked_alike_and_look_random_alone() -> None:
    night = chapter_07.two_nights(3)
    assert night.first.dtype == night.second.dtype == np.uint64
    assert np.abs(difference(night.first, night.second) - night.newcomer).max() < 1e-6
    nights = np.concatenate([chapter_07.two_nights(seed).first for seed in range(20)])
    assert 0.4 < (nights > 2**63).mean() < 0.6


# The notebook ----------------------------------------------------------------------------------------------------


def test_the_notebook_asks_with_the_numbers_that_the_judge_knows() -> None:
    source = "\n".join(cell.source for cell in cells("07_federated_learning").values())
    assert "100, 300 and 600 patients send 0.8, 0.2 and -0.1" in source
    assert "Ten hospitals trained 15 rounds" in source
    assert "takes 20 steps with noise multiplier 2" in source
    for name in (*PLAN, *chapter_07.MEASURES):
        assert f'`"{name}"`' in source


def test_the_two_nights_of_the_notebook_are_those_of_the_judge() -> None:
    source = cells("07_federated_learning")
    scope: dict[str, Any] = {"np": np, "sent": np.zeros(40), "print": lambda *_: None}
    exec("from ppml_helpers.federated_learning.app.federated_hospitals import task", scope)
    exec(source["fixed"].source.split("\n\n\n")[1], scope)
    exec(source["two-nights"].source, scope)  # the notebook's own cell
    assert np.abs(difference(scope["first"], scope["second"]) - scope["ward"][30]).max() < 1e-6


def test_the_notebook_prints_no_patient_but_the_fictional_one() -> None:
    code = {name: cell.source for name, cell in cells("07_federated_learning").items()}
    assert "fictional_patient" in code["one-patient"]
    assert "in_units(x[0])" in code["one-patient"]
    assert not any("in_units(" in source for name, source in code.items() if name != "one-patient")
