"""The exercises of chapter 05: right answers in several forms, and what wrong ones are told."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from answers import reply

from ppml_helpers import accounting
from ppml_helpers.private_training import exercises as chapter_05

games = chapter_05._careless_games


def one_year() -> float:
    return accounting.noise_multiplier(1.0, 1.0, 100)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer 05.4 from remembered trainings (the trainings themselves are tested below)."""
    useful = {0.1: (5.9, 0.59), 0.3: (1.5, 0.66), 1.0: (0.54, 0.757), 3.0: (0.48, 0.78), 10.0: (0.47, 0.79)}
    monkeypatch.setattr(chapter_05, "_useful", lambda: useful)


RIGHT = {
    "05.1": (88, 88.08, 100 * accounting.membership_accuracy(2.0), np.float32(88.0)),
    "05.2": (
        accounting.epsilon(one_year(), 1.0, 500),
        round(accounting.epsilon(one_year(), 1.0, 500), 2),
        accounting.epsilon(one_year() / math.sqrt(5), 1.0, 100),
        np.array([accounting.compose([(one_year(), 1.0, 100)] * 5)]),
        2.65,  # a valid bound: Opacus' rdp
    ),
    "05.3": (accounting.noise_multiplier(2.0, 0.05, 600), 2.61, 2.617, 2.8),  # Opacus' prv and rdp
    "05.4": (3, np.int64(3)),
    "05.5": (
        lambda a, b: games().combined(a, b),
        lambda a, b: b + (b - a) * games().low / (games().high - games().low),
        lambda a, b: pd.DataFrame(b) - games().low * (a - b) / (games().high - games().low),
    ),
}


@pytest.mark.parametrize(("name", "answers"), RIGHT.items())
def test_right_answers_in_several_forms(trained: None, name: str, answers: tuple) -> None:
    assert [reply(name, answer) for answer in answers] == [""] * len(answers)


WRONG = [
    ("05.1", 0.88, "times in 100"),
    ("05.1", 100 * math.tanh(1), "advantage"),
    ("05.1", 73.1, "epsilon 1"),
    ("05.1", math.e**2, "odds"),
    ("05.1", 50, "epsilon 0"),
    ("05.1", 100, "more doubt"),
    ("05.1", 20, "gives a probability"),
    ("05.2", 5.0, "basic composition"),
    ("05.2", 1, "per patient, not per model"),
    ("05.2", math.sqrt(5), "epsilon is not the noise"),
    ("05.2", 4.0, "loose"),
    ("05.2", accounting.epsilon(one_year(), 1.0, 600), "loose"),  # six years
    ("05.2", 19.3, "above 5"),
    ("05.2", one_year(), "noise multiplier of one year"),
    ("05.2", 0.2, "one year's training first"),
    ("05.3", accounting.noise_multiplier(2.0, 0.05, 30), "30 steps"),
    ("05.3", accounting.noise_multiplier(2.0, 1.0, 30), "full batches"),
    ("05.3", accounting.noise_multiplier(2.0, 1.0, 600), "sample_rate=0.05"),
    ("05.3", 600, "epochs or steps"),
    ("05.3", 2.0, "above 2"),
    ("05.3", 4.0, "more than it must"),
    ("05.3", accounting.noise_multiplier(2.0, 0.05, 620), "more than it must"),  # 31 epochs
    ("05.4", 0.1, "log loss of 5.90"),
    ("05.4", 0.3, "log loss of 1.50"),
    ("05.4", 1, "ranks well (AUC 0.76), but"),
    ("05.4", 10.0, "smaller one"),
    ("05.4", 2.0, "Choose one of"),
    ("05.5", 1.0, "not what it wins"),
    ("05.5", lambda a, b: a, "for everybody alone"),
    ("05.5", lambda a, b: b, "for partners alone"),
    ("05.5", lambda a, b: (a + b) / 2, "still has the noise in it"),
    ("05.5", lambda a, b: b - a, "the noise is what is left"),
    ("05.5", lambda a, b: games().high * b - games().low * a, "Now divide by high - low"),
    ("05.5", lambda a, b: (games().high * b + games().low * a) / (games().high + games().low), "some noise is left"),
    ("05.5", lambda a, b: 0 * a, "some noise is left"),
    ("05.5", lambda a, b: 1.0, "must return such an array"),
    ("05.5", lambda X, y, seeds: X, "both ends in: TypeError"),
]


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_gets_its_own_sentence(trained: None, name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)


def test_two_releases_of_one_noise_are_worth_more_than_their_promises() -> None:
    alone = [games().share([side[which] for side in games().sides]) for which in (0, 1)]
    assert max(alone) < games().allowed < 0.7
    assert games().share([games().combined(*side) for side in games().sides]) > 0.97


def test_05_4_is_not_a_close_call_and_needs_no_explorer() -> None:
    code = (
        "import sys; from ppml_helpers.exercises import check; from ppml_helpers.private_training import exercises; "
        "loss = {epsilon: pair[0] for epsilon, pair in exercises._useful().items()}; "
        "assert loss[3.0] + 0.01 < exercises._MOST < loss[1.0] - 0.01, loss; "
        "assert check('05.4', 3, record=False).right; "
        "assert 'ipywidgets' not in sys.modules and not [name for name in sys.modules if name.endswith('.explorer')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
