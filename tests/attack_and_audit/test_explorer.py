"""The explorer of chapter 06 and its `comparison`: numbers as of audits without it, what it trains and says."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from readable import assert_readable

from ppml_helpers import cohort
from ppml_helpers.attack_and_audit import audit, comparison
from ppml_helpers.attack_and_audit import explorer as widget
from ppml_helpers.attack_and_audit.comparison import BUG, STOPS
from ppml_helpers.attack_and_audit.explorer import PATIENTS, RUNS, AuditExplorer
from ppml_helpers.errors import ExplorerError, PrivacyParameterError
from ppml_helpers.explorer import Stopped
from ppml_helpers.private_training.engine import RECIPES

LOGISTIC = RECIPES["logistic regression"]
START = {"epsilon": 1.0, "canaries": 300, "runs": 1, "bug": False}


@pytest.fixture(scope="module")
def split() -> cohort.Split:
    return cohort.split(*cohort.features(cohort.load_patients()), seed=0)


@pytest.fixture(scope="module")
def explorer(split: cohort.Split) -> AuditExplorer:
    """One explorer for the module; each test says all the knobs that it depends on."""
    return AuditExplorer(split)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing where a test is about numbers or refusals."""
    monkeypatch.setattr(AuditExplorer, "redraw", lambda self: b"")


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, list]]:
    """What is really trained: canaries, seed and settings of each sweep."""
    made: list[tuple[int, int, list]] = []

    def noted(X: object, y: object, recipe: object, settings: list, **named: object) -> list:
        found = audit.audit_sweep(X, y, recipe, settings, **named)
        made.append((named["canaries"], named["seed"], settings))
        return found

    monkeypatch.setattr(comparison, "audit_sweep", noted)
    return made


# ---------------------------------------------------------------------------------------------------- the numbers


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("epsilon", "canaries", "bug"), [(1.0, 300, False), (0.25, 100, True)])
def test_a_setting_gives_what_an_audit_of_its_own_gives(
    explorer: AuditExplorer, split: cohort.Split, epsilon: float, canaries: int, bug: bool
) -> None:
    result = explorer.set(epsilon=epsilon, canaries=canaries, runs=2, bug=bug).result
    few = split.X_train.iloc[:PATIENTS], split.y_train.iloc[:PATIENTS]
    for seed, (shown, other) in enumerate(zip(result.shown, result.other, strict=True)):
        for run, planted in ((shown, bug), (other, not bug)):
            alone = audit.audit_training(
                *few, LOGISTIC, epsilon, canaries=canaries, noise_divisor=8.0 if planted else 1.0, seed=seed
            )
            assert (run.included == alone.included).all()
            np.testing.assert_allclose(run.scores, alone.scores, atol=2e-3 * np.abs(alone.scores).max())
            assert run.measured == pytest.approx(alone.measured.epsilon_lower, abs=0.25)  # a guess or two
            assert run.auc == pytest.approx(alone.auc(split.X_test, split.y_test), abs=1e-3)
            assert run.actual == alone.actual
    assert result.patients == PATIENTS
    assert result.best == audit.best_possible(canaries)
    assert result.curve.loc[epsilon].tolist() == [run.measured for run in result.shown]
    assert set(STOPS) <= set(result.curve.index)


@pytest.mark.usefixtures("undrawn")
def test_the_bug_is_caught_and_the_sound_program_is_not(explorer: AuditExplorer) -> None:
    wrong = explorer.set(epsilon=1.0, canaries=1000, runs=3, bug=True).result
    assert wrong.refuted == len(wrong.shown) == 3
    assert wrong.shown[0].actual > 8
    sound = explorer.set(bug=False).result
    assert sound.refuted == 0
    assert sound.shown == wrong.other
    assert sound.shown[0].actual == pytest.approx(1.0, abs=1e-3)
    # What the chapter says of accuracy: that of the wrong program is no worse, and not far off.
    assert -0.005 < wrong.auc - sound.auc < 0.04
    assert (wrong.auc, wrong.other_auc) == (sound.other_auc, sound.auc)


@pytest.mark.usefixtures("undrawn")
def test_no_bound_is_above_what_is_kept_or_possible(explorer: AuditExplorer) -> None:
    for bug, canaries in itertools.product((False, True), (100, 1000)):
        result = explorer.set(epsilon=3.2, canaries=canaries, runs=2, bug=bug).result
        assert all(0 <= run.measured <= min(run.actual, result.best) for run in result.shown)
        assert (result.curve <= result.best).all(axis=None)


def test_few_canaries_cannot_refute_a_large_promise_and_many_can(explorer: AuditExplorer) -> None:
    few = explorer.set(epsilon=3.2, canaries=100, runs=1, bug=True)
    assert (few.result.refuted, few.result.best < 3.2) == (0, True)
    assert "100 canaries cannot refute the promise of 3.2: they show 3.10 at best." in written(few)
    assert explorer.set(canaries=1000).result.refuted == 1
    assert "Refuted: the run shows more than the promise of 3.2." in written(explorer)


# ---------------------------------------------------------------------------------------------------- what is trained


@pytest.mark.usefixtures("undrawn")
def test_one_training_serves_every_epsilon_and_the_switch(split: cohort.Split, trainings: list) -> None:
    explorer = AuditExplorer(split)
    for stop, bug in itertools.product(STOPS, (False, True)):
        explorer.set(epsilon=stop, canaries=100, bug=bug)
    assert trainings == [(100, 0, [(stop, divisor) for divisor in (1.0, BUG) for stop in STOPS])]
    explorer.set(epsilon=0.25)
    assert trainings[1:] == [(100, 0, [(0.25, 1.0), (0.25, BUG)])]
    explorer.set(runs=2, epsilon=1.0)
    assert [(seed, len(settings)) for _, seed, settings in trainings[2:]] == [(1, 18)]
    explorer.set(runs=1, bug=False, epsilon=10 ** (-0.75))  # as the slider has it, with all its digits
    assert explorer.result.epsilon == 0.18
    assert len(trainings) == 3
    explorer.forget()
    explorer.set(epsilon=1.0)
    assert len(trainings) == 4


def test_the_picture_does_not_depend_on_what_was_asked_for_before(split: cohort.Split) -> None:
    direct, winding = AuditExplorer(split), AuditExplorer(split)
    for knobs in ({"epsilon": 0.25}, {"epsilon": 5.0, "bug": True, "runs": 2}, {"canaries": 300}):
        winding.set(**({"canaries": 100} | knobs))
    wanted = {"epsilon": 0.25, "canaries": 100, "runs": 2, "bug": True}
    assert direct.set(**wanted)._png == winding.set(**wanted)._png
    assert direct.sentence == winding.sentence


@pytest.mark.usefixtures("undrawn")
def test_a_stopped_audit_keeps_the_runs_that_are_done(split: cohort.Split, trainings: list) -> None:
    explorer, told = AuditExplorer(split), []

    def stop(fraction: float, what: str) -> None:
        told.append((fraction, what))
        if fraction > 0.5:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        explorer.compute(stop, epsilon=0.25, canaries=100, runs=3, bug=False)
    assert told[-1][1] == "run 2 of 3, 100 canaries"
    assert [seed for _, seed, _ in trainings] == [0, 0, 1]  # of the second run, the slider's stops are done
    explorer.set(epsilon=0.25, canaries=100, runs=3)
    assert [(seed, len(settings)) for _, seed, settings in trainings] == [(s, n) for s in (0, 1, 2) for n in (18, 2)]


# ---------------------------------------------------------------------------------------------------- refusals


def test_unfit_splits_are_refused(split: cohort.Split) -> None:
    with pytest.raises(ExplorerError, match="given as a str, not a Split"):
        AuditExplorer("split")
    with pytest.raises(ExplorerError, match="the number of training patients = 299 must be"):
        AuditExplorer(split._replace(X_train=split.X_train.iloc[:299], y_train=split.y_train.iloc[:299]))
    with pytest.raises(PrivacyParameterError, match=r"delta = 2\.0"):
        AuditExplorer(split, delta=2.0)
    with pytest.raises(ExplorerError, match="ward"):
        AuditExplorer(split._replace(X_train=split.X_train.assign(ward="north"), X_test=split.X_test.assign(ward="n")))


@pytest.mark.usefixtures("undrawn")
def test_arrays_and_columns_in_another_order_give_the_same_audits(split: cohort.Split) -> None:
    few = split._replace(X_train=split.X_train.iloc[:400], y_train=split.y_train.iloc[:400])
    ours = AuditExplorer(few).set(canaries=100).result
    turned = AuditExplorer(few._replace(X_test=few.X_test[few.X_test.columns[::-1]])).set(canaries=100).result
    arrays = AuditExplorer(cohort.Split(*(part.to_numpy() for part in few))).set(canaries=100).result
    assert ours.auc == turned.auc == arrays.auc


def test_a_small_table_and_another_delta_are_said_and_used(split: cohort.Split) -> None:
    few = split._replace(X_train=split.X_train.iloc[:400], y_train=split.y_train.iloc[:400])
    result = AuditExplorer(few, delta=1e-3).set(canaries=100).result
    assert result.patients == 400
    assert result.best == audit.best_possible(100, delta=1e-3) < audit.best_possible(100)


# ---------------------------------------------------------------------------------------------------- words, picture


def written(explorer: AuditExplorer) -> str:
    return " ".join(text.get_text() for text in explorer._figure.texts)


def made_up(bounds: list[float], **changes: object) -> comparison.Audited:
    """A result with these lower bounds at a promise of 1."""
    runs = tuple(comparison.AuditRun(1.0, bound, 0.8, np.zeros(2), np.zeros(2, bool)) for bound in bounds)
    made = comparison.Audited(1.0, 300, 2000, False, 4.2, 0.95, runs, runs, pd.DataFrame())
    return made._replace(**changes)


@pytest.mark.parametrize(
    ("bounds", "changes", "says", "verdict"),
    [
        ([0.0], {}, "one run shows nothing at", "Not refuted: the run shows no more than the promise of 1."),
        ([0.0, 0.0], {}, "2 runs show nothing at", "Not refuted: no run shows more than the promise of 1."),
        ([0.999], {}, "at least 0.99 at", "Not refuted: the run shows no more than the promise of 1."),
        ([1.0001], {}, "at least 1.0001 at", "Refuted: the run shows more than the promise of 1."),
        ([1.2, 1.2], {}, "from below by 1.20 at", "Refuted: all 2 runs show more than the promise of 1."),
        (
            [0.2, 1.2],
            {},
            "0.20 to 1.20 at",
            "1 of 2 runs shows more than the promise of 1; of a sound program's, 5 in 100 may.",
        ),
        ([1.3, 0.2, 1.2], {}, "which refutes the promise in 2 of them", "2 of 3 runs show more than the promise of 1"),
        ([0.9], {"best": 0.95}, "does not", "300 canaries cannot refute the promise of 1: they show 0.95 at best."),
    ],
)
def test_the_words_follow_the_bounds(
    explorer: AuditExplorer, bounds: list[float], changes: dict, says: str, verdict: str
) -> None:
    result = made_up(bounds, **changes)
    assert says in explorer.say(result)
    assert widget._verdict(result).startswith(verdict)


def test_each_knob_changes_sentence_and_picture_which_show_the_numbers(explorer: AuditExplorer) -> None:
    seen = []
    for turned in ({}, {"epsilon": 3.2}, {"canaries": 100}, {"runs": 3}, {"bug": True}):
        knobs = START | turned
        result, sentence = explorer.set(**knobs).result, explorer.sentence
        seen.append((sentence, explorer.redraw()))
        program = "with noise 8 times too small" if knobs["bug"] else "with the noise that it takes"
        for said in (f"epsilon {knobs['epsilon']:g} to 2,000 patients", program, f"AUC is {result.auc:.2f}, and"):
            assert said in sentence
        assert ("which refutes the promise" in sentence) == (result.refuted > 0)
        assert sentence.count(".") - len(re.findall(r"\d\.\d", sentence)) == 1, "it is one sentence"
        bounds, _, use = explorer._figure.axes
        promise, best, *_, present = bounds.lines
        np.testing.assert_array_equal(promise.get_xdata(), promise.get_ydata())
        assert best.get_ydata()[0] == result.best
        assert present.get_xydata().tolist() == [[knobs["epsilon"], np.median(result.measured)]]
        wrong, sound = (result.shown, result.other) if knobs["bug"] else (result.other, result.shown)
        for line, runs in zip(use.lines, (wrong, sound), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [run.auc for run in runs])
    sentences, pictures = zip(*seen, strict=True)
    assert len(set(sentences)) == len(set(pictures)) == len(seen)


def test_the_histograms_are_of_the_right_canaries(explorer: AuditExplorer) -> None:
    run = explorer.set(**START | {"bug": True}).result.shown[0]
    inside, outside = explorer._figure.axes[1].patches
    low, high = np.quantile(run.scores, (0.005, 0.995))
    for patch, chosen in ((inside, run.included), (outside, ~run.included)):
        heights, _ = np.histogram(run.scores[chosen].clip(low, high), bins=np.linspace(low, high, 25), density=True)
        assert patch.get_xy()[:, 1].max() == pytest.approx(heights.max())
    assert run.scores[run.included].mean() > run.scores[~run.included].mean()


@pytest.mark.parametrize("canaries", [100, 1000])
def test_every_picture_can_be_read(explorer: AuditExplorer, canaries: int) -> None:
    bugs = itertools.cycle((True, False))
    for epsilon, runs, bug in zip((*STOPS[::4], 0.25), itertools.cycle(RUNS if canaries == 100 else (1,)), bugs):
        assert_readable(explorer.set(epsilon=epsilon, canaries=canaries, runs=runs, bug=bug), least_texts=20)


@pytest.mark.parametrize("bounds", [[0.0], [9.99999] * 5, [0.178, 5.2], [6.0, 0.0, 3.0, 0.2, 9.0]])
@pytest.mark.parametrize("epsilon", [0.18, 5.6])
def test_every_verdict_has_room(explorer: AuditExplorer, bounds: list[float], epsilon: float) -> None:
    shown = explorer.set(**START | {"epsilon": epsilon}).result
    runs = tuple(shown.shown[0]._replace(measured=bound) for bound in bounds)
    curve = pd.DataFrame([[0.0] * len(runs)] * len(STOPS), index=STOPS)
    explorer._result = shown._replace(shown=runs, other=runs, curve=curve, canaries=2000)
    explorer.redraw()
    assert_readable(explorer, least_texts=20)
