"""The exercises of chapter 06 and their `colleagues`: right answers, what wrong ones are told, and its truth."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from answers import reply

from ppml_helpers import accounting, cohort, course, membership
from ppml_helpers.attack_and_audit import attribute_inference, audit, shadow, study
from ppml_helpers.attack_and_audit import exercises as chapter_06
from ppml_helpers.attack_and_audit.colleagues import COLLEAGUES
from ppml_helpers.private_training.engine import RECIPES

RECIPE = RECIPES["logistic regression"]
NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "06_attack_and_audit.ipynb"


@lru_cache
def attacks() -> dict[str, membership.AttackResult]:
    return dict(study.load()["overfitted network"].attacks)


def found(attack: str, alarms: float) -> float:
    """Members found, of 1,000."""
    curve = attacks()[attack]
    return 1000 * float(curve.tpr[curve.fpr <= alarms][-1])


def at_a_tenth(curve: membership.AttackResult) -> float:
    return float(curve.tpr[curve.fpr <= 0.1][-1])


def worth(tpr: float, fpr: float = 0.001, members: float = 0.05) -> float:
    return tpr * members / (tpr * members + fpr * (1 - members))


def strict() -> float:
    return attacks()["LiRA online"].at_1_in_1000.tpr


def interpolated() -> float:
    curve = attacks()["LiRA online"]
    return float(1000 * np.interp(0.1, curve.fpr, curve.tpr))


# --- right answers ---------------------------------------------------------------------------------------------------

RIGHT = [
    ("06.1", lambda: found("LiRA online", 0.1)),
    ("06.1", lambda: round(found("LiRA online", 0.1))),
    ("06.1", lambda: np.array([interpolated()])),
    ("06.2", lambda: worth(strict())),
    ("06.2", lambda: 1000 * strict() / (1000 * strict() + 19_000 * 0.001)),  # by counting
    ("06.2", lambda: round(worth(strict()), 2)),
    ("06.3", lambda: 0.098),
    ("06.3", lambda: np.float64(0.09)),
    ("06.4", lambda: 92),
    ("06.4", lambda: np.int64(92)),
    ("06.5", lambda: {"Ada": 0.0, "Ben": 0.0, "Cleo": 1.3}),  # whatever the sound ones show
    ("06.5", lambda: {"Cleo": 1.3, "Ben": 0.05, "Ada": 0.3}),
    ("06.5", lambda: {"Ada": 0.9, "Ben": 0.0, "Cleo": 1.3}),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_several_forms(name: str, answer: Callable[[], object]) -> None:
    assert reply(name, answer()) == ""


def test_06_4_is_the_fewest() -> None:
    assert audit.best_possible(92) > 3 >= audit.best_possible(91)


# --- wrong answers ---------------------------------------------------------------------------------------------------

WRONG = [
    ("06.1", lambda: found("LiRA online", 0.1) / 1000, "how many of 1,000"),
    ("06.1", lambda: found("LiRA online", 0.1) / 10, "in percent"),
    ("06.1", lambda: found("LiRA online", 0.01), "at 1 % false alarms"),
    ("06.1", lambda: found("LiRA online", 0.001), "at 0.1 % false alarms"),
    ("06.1", lambda: found("LiRA offline", 0.1), "offline attack"),
    ("06.1", lambda: 1000 * at_a_tenth(study.load().fewer[32]["LiRA online"]), "30 shadow models"),
    ("06.1", lambda: 1000 * at_a_tenth(study.load()["forest"].attacks["LiRA online"]), "the forest"),
    ("06.1", lambda: 100, "how many are accused in error"),
    ("06.1", lambda: found("loss threshold", 0.1), "loss threshold"),
    ("06.1", lambda: 1000 * attacks()["LiRA online"].auc, "AUC"),
    ("06.1", lambda: 1500, "0 to 1,000"),
    ("06.1", lambda: 650, "an fpr of 0.1"),
    ("06.2", lambda: 100 * worth(strict()), "from 0 to 1"),
    ("06.2", lambda: 1 - worth(strict()), "that are wrong"),
    ("06.2", strict, "members who are found"),
    ("06.2", lambda: worth(strict(), members=0.5), "of which half are members"),
    ("06.2", lambda: 0.999, "left alone"),
    ("06.2", lambda: 0.05, "members on the list"),
    ("06.2", lambda: worth(attacks()["LiRA online"].at_1_in_100.tpr, 0.01), "at 1 % false alarms"),
    ("06.2", lambda: worth(0.0788), "30 shadow models"),
    ("06.2", lambda: 1000 * strict() + 19, "how many people are accused"),
    ("06.2", lambda: 7, "between 0 and 1"),
    ("06.2", lambda: 0.4, "Count the members"),
    ("06.3", lambda: 9.8, "points of 100"),
    ("06.3", lambda: 0.499, "the vendor's number"),
    ("06.3", lambda: 0.401, "imputation alone"),
    ("06.3", lambda: 0.499 - 0.318, "commonest income"),
    ("06.3", lambda: 0.067, "the diagnosis"),
    ("06.3", lambda: 0.0, "non-members"),
    ("06.3", lambda: 55, "between -1 and 1"),
    ("06.3", lambda: 0.3, "has attack, imputation"),
    ("06.4", lambda: 92.5, "whole number"),
    ("06.4", lambda: 0, "whole number"),
    ("06.4", lambda: 10**6, "Far fewer"),
    ("06.4", lambda: 126, "99 % confidence"),
    ("06.4", lambda: 100, "Fewer are enough"),
    ("06.4", lambda: 62, "single number of guesses"),
    ("06.4", lambda: 36, "a promise of 2"),
    ("06.4", lambda: 14, "a promise of 1"),
    ("06.4", lambda: 50, "no refutation of 3"),
    ("06.5", lambda: {"Ada": 0.1, "Ben": 0.0}, "its keys are"),
    ("06.5", lambda: "Cleo", "its keys are"),
    ("06.5", lambda: {"Ada": "a", "Ben": 0.0, "Cleo": 1.2}, "not a number"),
    ("06.5", lambda: {"Ada": -1.0, "Ben": 0.0, "Cleo": 1.2}, "0 or more"),
    ("06.5", lambda: {"Ada": 0.801, "Ben": 0.793, "Cleo": 0.808}, "test AUCs"),
    ("06.5", lambda: {"Ada": 0.27, "Ben": 0.27, "Cleo": 0.27}, "trainer=..."),
    ("06.5", lambda: {"Ada": 0.0, "Ben": 0.0, "Cleo": 0.0}, "fewer show less"),
    ("06.5", lambda: {"Ada": 2.0, "Ben": 2.1, "Cleo": 4.0}, "noise_divisor"),
    ("06.5", lambda: {"Ada": 0.1, "Ben": 1.2, "Cleo": 1.5}, "Ben's shows more than 1"),
    ("06.5", lambda: {"Ada": 0.1, "Ben": 0.0, "Cleo": 0.4}, "nothing is refuted yet"),
]


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_gets_its_own_sentence(name: str, answer: Callable[[], object], words: str) -> None:
    assert words in reply(name, answer())


# --- that they are true ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def split() -> cohort.Split:
    return cohort.split(*cohort.features(cohort.load_patients()), seed=0)


@pytest.mark.parametrize("name", list(COLLEAGUES))
def test_the_audit_finds_the_broken_colleague_and_no_other(split: cohort.Split, name: str) -> None:
    run = audit.audit_training(split.X_train, split.y_train, RECIPE, 1.0, trainer=COLLEAGUES[name])
    assert run.caught == (name == "Cleo")


def test_the_colleagues_models_look_alike(split: cohort.Split) -> None:
    sigma = accounting.noise_multiplier(1.0, RECIPE.sample_rate, RECIPE.steps)
    aucs = {
        name: trainer(split.X_train, split.y_train, RECIPE, [sigma], [0]).auc(split.X_test, split.y_test)[0]
        for name, trainer in COLLEAGUES.items()
    }
    assert max(aucs.values()) - min(aucs.values()) < 0.03
    assert max(aucs, key=aucs.get) == "Cleo"


def test_what_06_3_remembers_is_what_the_attack_finds() -> None:
    """Run the chapter's own cell for the income."""
    source = {cell.id: cell.source for cell in course.read(NOTEBOOK).cells}
    everybody, ends = cohort.features(cohort.load_patients())
    X = study.pool()[0]
    rest = np.setdiff1d(everybody.index, X.index)
    names = {"np": np, "shadow": shadow, "attribute_inference": attribute_inference, "X": X}
    names |= {"everybody": everybody, "ends": ends, "rest": rest}
    exec(source["attribute"], names)
    result = names["infer"]("income", shadow.OVERFITTED, adam=True).members
    kept = chapter_06._INCOME
    for name in kept:
        assert abs(getattr(result, name) - kept[name]) < 0.006, (name, getattr(result, name))
    assert result.gain_interval.low > 0.03
    diagnosis = [column for column in X if column.startswith("dzgroup")]
    gain = names["infer"](diagnosis, shadow.OVERFITTED, adam=True).members.gain
    assert abs(gain - chapter_06._DIAGNOSIS_GAIN) < 0.006
