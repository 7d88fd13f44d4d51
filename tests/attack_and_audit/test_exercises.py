"""The exercises of chapters 06 and 06b (`exposure_exercises`) and the `colleagues`: what answers are told, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from answers import reply
from scipy.stats import norm

from ppml_helpers import accounting, cohort, course, membership
from ppml_helpers.attack_and_audit import attribute_inference, audit, exposure_exercises, gallery, shadow, study
from ppml_helpers.attack_and_audit.colleagues import COLLEAGUES
from ppml_helpers.exercises import check
from ppml_helpers.private_training.engine import RECIPES, Recipe

RECIPE = RECIPES["logistic regression"]
NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "06b_who_is_exposed.ipynb"


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
    ("06b.1", lambda: found("LiRA online", 0.1)),
    ("06b.1", lambda: round(found("LiRA online", 0.1))),
    ("06b.1", lambda: np.array([interpolated()])),
    ("06.1", lambda: worth(strict())),
    ("06.1", lambda: 1000 * strict() / (1000 * strict() + 19_000 * 0.001)),  # by counting
    ("06.1", lambda: round(worth(strict()), 2)),
    ("06b.2", lambda: 0.098),
    ("06b.2", lambda: np.float64(0.09)),
    ("06b.3", lambda: OFTEN),
    ("06b.3", lambda: {name: np.int64(many) for name, many in reversed(OFTEN.items())}),
    ("06.2", lambda: 92),
    ("06.2", lambda: np.int64(92)),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_several_forms(name: str, answer: Callable[[], object]) -> None:
    assert reply(name, answer()) == ""


def test_06_2_is_the_fewest() -> None:
    assert audit.best_possible(92) > 3 >= audit.best_possible(91)


FOUND = {name: study.load()[name].found for name in ("overfitted network", "network, clipped, no noise")}
OFTEN = {name: int((found > 0.5).sum()) for name, found in FOUND.items()}


# --- wrong answers ---------------------------------------------------------------------------------------------------

WRONG = [
    ("06b.1", lambda: found("LiRA online", 0.1) / 1000, "how many of 1,000"),
    ("06b.1", lambda: found("LiRA online", 0.1) / 10, "in percent"),
    ("06b.1", lambda: found("LiRA online", 0.01), "at 1 % false alarms"),
    ("06b.1", lambda: found("LiRA online", 0.001), "at 0.1 % false alarms"),
    ("06b.1", lambda: found("LiRA offline", 0.1), "offline attack"),
    ("06b.1", lambda: 1000 * at_a_tenth(study.load().fewer[32]["LiRA online"]), "30 shadow models"),
    ("06b.1", lambda: 1000 * at_a_tenth(study.load()["forest"].attacks["LiRA online"]), "the forest"),
    ("06b.1", lambda: 100, "how many are accused in error"),
    ("06b.1", lambda: found("loss threshold", 0.1), "loss threshold"),
    ("06b.1", lambda: 1000 * attacks()["LiRA online"].auc, "AUC"),
    ("06b.1", lambda: 1500, "0 to 1,000"),
    ("06b.1", lambda: 650, "an fpr of 0.1"),
    ("06.1", lambda: 100 * worth(strict()), "from 0 to 1"),
    ("06.1", lambda: 1 - worth(strict()), "that are wrong"),
    ("06.1", strict, "members who are found"),
    ("06.1", lambda: worth(strict(), members=0.5), "of which half are members"),
    ("06.1", lambda: 0.999, "left alone"),
    ("06.1", lambda: 0.05, "members on the list"),
    ("06.1", lambda: worth(attacks()["LiRA online"].at_1_in_100.tpr, 0.01), "at 1 % false alarms"),
    ("06.1", lambda: worth(0.0788), "30 shadow models"),
    ("06.1", lambda: 1000 * strict() + 19, "how many people are accused"),
    ("06.1", lambda: 7, "between 0 and 1"),
    ("06.1", lambda: 0.4, "Count the members"),
    ("06b.2", lambda: 9.8, "points of 100"),
    ("06b.2", lambda: 0.499, "the vendor's number"),
    ("06b.2", lambda: 0.401, "imputation alone"),
    ("06b.2", lambda: 0.499 - 0.318, "commonest income"),
    ("06b.2", lambda: 0.067, "the diagnosis"),
    ("06b.2", lambda: 0.0, "non-members"),
    ("06b.2", lambda: 55, "between -1 and 1"),
    ("06b.2", lambda: 0.3, "has attack, imputation"),
    ("06b.3", lambda: {name: many / 2000 for name, many in OFTEN.items()}, "shares of the patients"),
    ("06b.3", lambda: {name: found.mean() for name, found in FOUND.items()}, "averages over patients"),
    ("06b.3", lambda: {name: (found >= 0.5).sum() for name, found in FOUND.items()}, "not more than half"),
    ("06b.3", lambda: dict(zip(OFTEN, reversed(OFTEN.values()), strict=True)), "swapped"),
    ("06b.3", lambda: {name: (found > 0).sum() for name, found in FOUND.items()}, "ever found"),
    ("06b.3", lambda: dict.fromkeys(OFTEN, 7), "compare with 0.5"),
    ("06b.3", lambda: 232, "its keys are"),
    ("06.2", lambda: 92.5, "whole number"),
    ("06.2", lambda: 0, "whole number"),
    ("06.2", lambda: 10**6, "Far fewer"),
    ("06.2", lambda: 126, "99 % confidence"),
    ("06.2", lambda: 100, "Fewer are enough"),
    ("06.2", lambda: 62, "single number of guesses"),
    ("06.2", lambda: 36, "a promise of 2"),
    ("06.2", lambda: 14, "a promise of 1"),
    ("06.2", lambda: 50, "no refutation of 3"),
]


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_gets_its_own_sentence(name: str, answer: Callable[[], object], words: str) -> None:
    assert words in reply(name, answer())


# --- that they are true ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def split() -> cohort.Split:
    return cohort.split(*cohort.features(cohort.load_patients()), seed=0)


@pytest.fixture(scope="module")
def shown(split: cohort.Split) -> dict[str, audit.TrainingAudit]:
    """The answer to 06.3."""
    how = {"epsilon": 1.0, "recipe": RECIPE}
    return {
        name: audit.audit_training(split.X_train, split.y_train, trainer=trainer, **how)
        for name, trainer in COLLEAGUES.items()
    }


def test_the_audit_finds_the_broken_colleague_and_no_other(shown: dict[str, audit.TrainingAudit]) -> None:
    assert [name for name, run in shown.items() if run.caught] == ["Cleo"]
    assert reply("06.3", shown) == reply("06.3", dict(reversed(shown.items()))) == ""


def test_06_3_tells_a_false_accusation_and_asks_nobody_to_try_again(shown: dict[str, audit.TrainingAudit]) -> None:
    unlucky = dataclasses.replace(shown["Ada"].measured, epsilon_lower=1.2)
    answer = shown | {"Ada": dataclasses.replace(shown["Ada"], measured=unlucky)}
    said = check("06.3", answer, record=False)
    assert said.right
    assert "Ada is accused as well, though that program is sound" in str(said)
    assert "another seed" not in str(said)


def changed(shown: dict[str, audit.TrainingAudit], **parts: object) -> dict[str, audit.TrainingAudit]:
    return {name: dataclasses.replace(run, **parts) for name, run in shown.items()}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda shown: {name: run.measured.epsilon_lower for name, run in shown.items()}, "is not an audit"),
        (lambda shown: {"Ada": 0, "Ben": 0, "Cleo": 1.1}, "0 is not an audit"),
        (lambda shown: dict.fromkeys(shown, shown["Cleo"]), "One model more than once"),
        (lambda shown: changed(shown, promised=3.0, actual=3.0), "give epsilon=1.0"),
        (lambda shown: changed(shown, actual=11.0), "planted a bug yourself"),
        (lambda shown: shown | {"Cleo": shown["Ben"], "Ben": shown["Cleo"]}, "beside the name of the colleague"),
        (lambda shown: changed(shown, measured=shown["Ada"].measured), "fewer show less"),
        (lambda shown: {"Ada": shown["Ada"]}, "its keys are"),
        (lambda shown: "Cleo", "its keys are"),
    ],
)
def test_wrong_answers_to_06_3(shown: dict[str, audit.TrainingAudit], spoil: Callable, words: str) -> None:
    assert words in reply("06.3", spoil(shown))


def farthest(rows: tuple[float, ...] = (1.0, 30.0), labels: tuple[int, ...] = (0, 1), times: float = 40.0) -> Callable:
    """Return an answer to 06.4 that adds such patients, with such labels."""

    def answer(train: gallery.Trainer) -> float:
        X, y = np.ones((40, 3)), np.append(np.ones(39), 0)
        step = Recipe(steps=1, learning_rate=1.0, clipping_norm=1.0, momentum=0.0, averaged=0.0)

        def model(*more: tuple[float, int]) -> np.ndarray:
            table = np.vstack([X, *(np.full(3, row) for row, _ in more)])
            return train(table, np.append(y, [label for _, label in more]), step, [0.0], [0]).vector()

        return times * max(np.linalg.norm(model((row, label)) - model()) for row in rows for label in labels)

    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (farthest(), ""),
        (farthest(rows=(-20.0, -1.0, 0.0, 30.0)), ""),
        (farthest(times=1.0), "Does the patient whom you add pull at all? Times 40?"),
        (farthest(times=41.0), "not by the patients of the table"),
        (farthest(rows=(0.1,)), "Whose gradient is long?"),
        (farthest(rows=(30.0,), labels=(1,)), "the other way"),
        (farthest(labels=(0,)), "those with label 1"),
        (lambda train: 1.0, "clipped after averaging passes: you say 1"),
        (lambda train: "far", "06.4"),
        (lambda train: 1.0 if getattr(train, "name", "sound") == "sound" else 2.0, "clipped after averaging passes"),
        (1.9, "a function of a training"),
    ],
)
def test_06_4_tries_the_test_on_sound_and_broken_trainings(answer: object, words: str) -> None:
    said = reply("06.4", answer)
    assert words in said
    assert words or said == ""


def by_scipy(score: float, seen: np.ndarray, unseen: np.ndarray) -> float:
    bells = [norm(side.mean(), side.std(ddof=1)) for side in (seen, unseen)]
    return bells[0].logpdf(score) - bells[1].logpdf(score)


def by_formula(score: float, seen: np.ndarray, unseen: np.ndarray) -> float:
    far = [(score - side.mean()) ** 2 / side.var() for side in (seen, unseen)]
    return (far[1] - far[0]) / 2 + np.log(unseen.std() / seen.std())


def one_spread(score: float, seen: np.ndarray, unseen: np.ndarray) -> float:
    spread = np.sqrt((seen.var() * len(seen) + unseen.var() * len(unseen)) / (len(seen) + len(unseen) - 2))
    return norm(seen.mean(), spread).logpdf(score) - norm(unseen.mean(), spread).logpdf(score)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (by_scipy, ""),
        (by_formula, ""),
        (one_spread, ""),
        (lambda v, s, u: by_scipy(v, u, s), "The sign is turned"),
        (lambda v, s, u: np.exp(by_scipy(v, s, u)), "asks for its logarithm"),
        (lambda v, s, u: norm(s.mean(), s.std(ddof=1)).logpdf(v), "Compare with those that did not"),
        (lambda v, s, u: -norm(u.mean(), u.std(ddof=1)).logpdf(v), "the offline attack"),
        (lambda v, s, u: v - (s.mean() + u.mean()) / 2, "how wide the bells are"),
        (lambda v, s, u: norm(s.mean(), s.var(ddof=1)).logpdf(v) - norm(u.mean(), u.var(ddof=1)).logpdf(v), "the root"),
        (lambda v, s, u: 1.0, "accuses all or nobody"),
        (lambda v, s, u: norm(s.mean()).logpdf(v) - norm(u.mean()).logpdf(v), "Fit a bell to each side"),
        (lambda v, s, u: s, "this holds 15 values"),
        (0.5, "the function itself"),
    ],
)
def test_06b_4_takes_a_ratio_by_any_writing_and_names_other_things(answer: object, words: str) -> None:
    said = reply("06b.4", answer)
    assert words in said
    assert words or said == ""


def test_the_colleagues_models_look_alike(split: cohort.Split) -> None:
    sigma = accounting.noise_multiplier(1.0, RECIPE.sample_rate, RECIPE.steps)
    aucs = {
        name: trainer(split.X_train, split.y_train, RECIPE, [sigma], [0]).auc(split.X_test, split.y_test)[0]
        for name, trainer in COLLEAGUES.items()
    }
    assert max(aucs.values()) - min(aucs.values()) < 0.03
    assert max(aucs, key=aucs.get) == "Cleo"


def test_what_06b_2_remembers_is_what_the_attack_finds() -> None:
    """Run the chapter's own cell for the income."""
    source = {cell.id: cell.source for cell in course.read(NOTEBOOK).cells}
    everybody, ends = cohort.features(cohort.load_patients())
    X = study.pool()[0]
    rest = np.setdiff1d(everybody.index, X.index)
    names = {"np": np, "shadow": shadow, "attribute_inference": attribute_inference, "X": X}
    names |= {"everybody": everybody, "ends": ends, "rest": rest}
    exec(source["attribute"], names)
    result = names["infer"]("income", shadow.OVERFITTED, adam=True).members
    kept = exposure_exercises._INCOME
    for name in kept:
        assert abs(getattr(result, name) - kept[name]) < 0.006, (name, getattr(result, name))
    assert result.gain_interval.low > 0.03
    diagnosis = [column for column in X if column.startswith("dzgroup")]
    gain = names["infer"](diagnosis, shadow.OVERFITTED, adam=True).members.gain
    assert abs(gain - exposure_exercises._DIAGNOSIS_GAIN) < 0.006
