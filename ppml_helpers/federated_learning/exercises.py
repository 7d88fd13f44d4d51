"""Exercises of chapter 07, federated learning; those of 07b stand in `network_exercises`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_choice, as_number, close, right, wrong
from ppml_helpers.federated_learning import network_exercises
from ppml_helpers.federated_learning.app.federated_hospitals import masking, task

TITLE = {"07": "Federated learning", "07b": network_exercises.TITLE}

_PATIENTS, _WEIGHTS = (100, 300, 600), (0.8, 0.2, -0.1)  # of 07.1

_NOISE, _RATE, _STEPS, _ROUNDS, _HOSPITALS = 2.0, 0.1, 20, 15, 10  # of 07.2
_BY_RDP = 6.68  # what Opacus' and dp-accounting's RDP accountants say there: a looser bound that holds, too

MEASURES = ("tls", "masks", "noise in the hospital", "noise at the server", "median")
"""What 07.3 offers."""

_GAMES, _ENOUGH = 20, 1e-3  # of 07.4


def _judge_1(answer: object) -> Reply:
    value = as_number(answer)
    truth = float(np.average(_WEIGHTS, weights=_PATIENTS))
    if close(value, truth, 1e-6):
        return right("(80 + 60 - 60) / 1,000 = 0.08: every patient counts the same, not every hospital.")
    if close(value, float(np.mean(_WEIGHTS)), 1e-3):
        return wrong("There each hospital counts the same. In FedAvg each patient does: weigh by the patients.")
    if close(value, truth * sum(_PATIENTS), 1e-3):
        return wrong("That is the weighted sum. Divide it by the number of all patients.")
    if close(value, truth * sum(_PATIENTS) / len(_PATIENTS), 1e-3):
        return wrong("You divided the weighted sum by the number of hospitals. Divide by the number of all patients.")
    if close(value, float(np.median(_WEIGHTS)), 1e-6):
        return wrong("That is the median, which FedMedian would take. FedAvg takes an average.")
    if close(value, sum(_WEIGHTS), 1e-6):
        return wrong("That is the sum of the three weights: three models on top of one another, not their average.")
    if not min(_WEIGHTS) <= value <= max(_WEIGHTS):
        return wrong("An average lies between the smallest and the largest of the three.")
    return wrong("Multiply each hospital's weight by its share of all patients, and add up.")


def _judge_2(answer: object) -> Reply:
    from ppml_helpers.accounting import epsilon

    value, steps = as_number(answer), _STEPS * _ROUNDS
    truth, one = epsilon(_NOISE, _RATE, 2 * steps), epsilon(_NOISE, _RATE, steps)
    if truth * 0.999 <= value <= truth * 1.005:  # Opacus' PRV accountant says 6.17
        return right(
            f"Epsilon {truth:.2f}: two hospitals, 300 noisy steps in each. Somebody who lay in one of them has spent "
            f"{one:.2f}, and no ledger of a single hospital shows the difference."
        )
    if close(value, _BY_RDP, 0.006):
        return right(
            f"Epsilon {value:.2f} is a bound that holds; the tightest is {truth:.2f}. Two hospitals, 300 noisy steps "
            f"in each: somebody who lay in one of them has spent {one:.2f}."
        )
    if close(value, one, 0.01):
        return wrong("That is right for somebody who lay in one hospital. This patient is in the steps of two.")
    if close(value, 2 * one, 0.02):
        return wrong(
            "Adding the two epsilons up is safe, but promises too little: noisy steps compose better than that. "
            "Compute epsilon from all steps that the patient was in."
        )
    if close(value, _HOSPITALS * one, 0.1):
        return wrong("Eight of the ten hospitals never saw this patient: their steps cost the patient nothing.")
    if close(value, epsilon(_NOISE, _RATE, _HOSPITALS * steps), 0.05):
        return wrong("You count the steps of all ten hospitals. The patient was in the tables of two.")
    if close(value, epsilon(_NOISE, _RATE, 2 * _STEPS), 0.01):
        return wrong("That is one round. The noise of every round is new, and so is what leaks: count all rounds.")
    if close(value, epsilon(_NOISE, 2 * _RATE, steps), 0.05):
        return wrong("Each hospital draws on its own: twice the steps at probability 0.1, not twice the chance.")
    if close(value, epsilon(_NOISE, 1.0, 2 * steps), 0.5):
        return wrong("That lets the patient take part in every step. Each step draws them with probability 0.1.")
    if value <= 0:
        return wrong("An epsilon is above 0.")
    if truth < value < 3 * truth:
        return wrong(f"That bound holds, but it is loose: {value / truth:.1f} times the epsilon that can be promised.")
    return wrong("accounting.epsilon(noise multiplier, sample rate, steps): how many steps can have had this patient?")


_WISHES: dict[str, tuple[str, dict[str, str]]] = {
    "line": (
        "tls",
        {
            "masks": "Masks would hide the update there too, but not the model on its way down, nor who sends what.",
            "noise in the hospital": "Noise bounds what is learnt of a patient; the line is still read by anybody.",
            "noise at the server": "That noise is added after the update has travelled.",
            "median": "A median is taken at the server, after the update has travelled.",
        },
    ),
    "server": (
        "masks",
        {
            "tls": "TLS ends at the server: there the update lies open.",
            "noise in the hospital": "It hides patients in the update, but the server still sees a single hospital's.",
            "noise at the server": "The one who adds that noise has seen the update before.",
            "median": "To take a median the server must look at every single update.",
        },
    ),
    "patient": (
        "noise in the hospital",
        {
            "tls": "TLS protects messages; the finished model is not one of them.",
            "masks": "Masks vanish from the sum, so the finished model is the same as without.",
            "noise at the server": "Whoever runs the server sees the updates before that noise.",
            "median": "A median of models promises nothing about one patient.",
        },
    ),
    "took part": (
        "noise at the server",
        {
            "tls": "TLS protects messages; the finished model shows what they held.",
            "masks": "Masks vanish from the sum, so the finished model shows as much of the hospital as before.",
            "noise in the hospital": "Its unit is one patient. A thousand of one hospital together still show.",
            "median": "A median may leave a hospital out, but it promises nothing.",
        },
    ),
    "liar": (
        "median",
        {
            "tls": "TLS brings the wrong update safely to the server.",
            "masks": "Under masks a wrong update is harder to see, not harmless.",
            "noise in the hospital": "Who sends nonsense need not add noise to it.",
            "noise at the server": "It comes with clipping, which bounds what one hospital can do; but it is paid for "
            "with noise in every round. Something cheaper looks at the updates.",
        },
    ),
}


def _judge_3(answer: object) -> Reply:
    if not isinstance(answer, Mapping) or set(answer) != set(_WISHES):
        raise NotAnAnswer(f"its keys are {', '.join(repr(wish) for wish in _WISHES)}")
    chosen = {wish: as_choice(answer[wish], MEASURES) for wish in _WISHES}
    missed = [wish for wish, (fits, _) in _WISHES.items() if chosen[wish] != fits]
    if not missed:
        return right(
            "Five wishes, five measures. All five at once cannot be had so easily: a median looks at single updates, "
            "and masks are there to hide them."
        )
    first, rest = missed[0], len(missed) - 1
    more = f" And {rest} more to think over." if rest else ""
    return wrong(f"{first!r}: {_WISHES[first][1][chosen[first]]}{more}")


class _Night(NamedTuple):
    """Two masked updates of one hospital under the same mask, and the patient who came between them."""

    first: np.ndarray
    second: np.ndarray
    newcomer: np.ndarray


def two_nights(seed: int) -> _Night:
    """Make up a ward of 30 and one more patient, and mask both nights' updates with the same mask."""
    rng = np.random.default_rng(seed)
    X, y = rng.uniform(-1, 1, (31, 39)), rng.integers(0, 2, 31).astype(float)
    model, mask = rng.normal(scale=0.1, size=40), rng.integers(0, 2**64, 40, dtype=np.uint64)
    nights = (masking.encode(n * task.gradient(model, X[:n], y[:n])) + mask for n in (30, 31))
    return _Night(*nights, X[30])


def _judge_4(answer: object) -> Reply:
    if not callable(answer):
        raise NotAnAnswer("give the function itself, without calling it")
    found = []
    for seed in range(_GAMES):
        night = two_nights(seed)
        read = np.asarray(answer(night.first.copy(), night.second.copy()), dtype=float)
        if read.shape != night.newcomer.shape:
            return _of_wrong_shape(read)
        found.append(read)
    errors = [_apart(read, two_nights(seed).newcomer) for seed, read in enumerate(found)]
    if max(errors) < _ENOUGH:
        return right(
            f"All {_GAMES} newcomers read. A mask hides one message. Used twice, it vanishes from the difference; so "
            "masks are made anew for every round."
        )
    for wrong_way, sentence in _WRONG_WAYS:
        if all(_apart(read, wrong_way(two_nights(seed))) < _ENOUGH for seed, read in enumerate(found)):
            return wrong(sentence)
    good = sum(error < _ENOUGH for error in errors)
    return wrong(
        f"{good} of {_GAMES} newcomers are read. Which one operation on the two nights makes the mask vanish? "
        "What is left belongs to one patient: you know how to read that."
    )


def _of_wrong_shape(read: np.ndarray) -> Reply:
    if read.shape == (40,):
        return wrong("That holds 40 numbers. The last belongs to the intercept: divide by it, and give the other 39.")
    return wrong(f"It must give the 39 features of the newcomer, and it gave an array of shape {read.shape}.")


def _apart(read: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(read - other).max()) if np.isfinite(read).all() else np.inf


def _ratio(change: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.nan_to_num(change[:-1].astype(float) / float(change[-1]))


_STILL_MASKED = "You read one night alone, and that is masked: noise divided by noise. Put the two nights together."

_WRONG_WAYS: tuple[tuple[Callable[[_Night], np.ndarray], str], ...] = (
    (
        lambda night: _ratio(night.second - night.first),
        "The mask is gone, but the difference is still in fixed point, where negative numbers count down from 2^64: "
        "masking.decode reads it.",
    ),
    (lambda night: _ratio(masking.decode(night.first)), _STILL_MASKED),
    (lambda night: _ratio(masking.decode(night.second)), _STILL_MASKED),
    (
        lambda night: masking.decode(night.second - night.first)[:-1],
        "That is the newcomer's gradient: an error times the features. You know by what to divide.",
    ),
)


EXERCISES = (
    Exercise(
        name="07.1",
        expects="a number, the weight of the new model",
        hints=(
            "There are 1,000 patients in all; the first hospital has a tenth of them.",
            "Each weight times its hospital's share of the patients, added up.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="07.2",
        expects="an epsilon, a number above 0",
        hints=(
            "In how many noisy steps can this patient have been drawn? Count rounds and hospitals.",
            "20 steps, 15 rounds, 2 hospitals; accounting.epsilon wants noise multiplier, sample rate and steps.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="07.3",
        expects="a dict with a measure for each of the five wishes",
        hints=(
            "Ask of each measure: where does it act, on the line, in the hospital, or at the server?",
            "Two of them add noise. They differ in whom they hide: one patient, or one hospital.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="07.4",
        expects="a function of two masked updates that gives the newcomer's 39 features",
        hints=(
            "masked = update + mask, modulo 2^64, on both nights. How do you get rid of the mask?",
            "The two updates are sums over the ward, and differ by the gradient of one patient.",
        ),
        judge=_judge_4,
    ),
    *network_exercises.EXERCISES,
)
