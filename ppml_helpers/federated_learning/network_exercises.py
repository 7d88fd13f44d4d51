"""Exercises of chapter 07b, a real network."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping

from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_number, close, right, wrong

TITLE = "A real network"

PARTIES = ("server", "hospital", "submitter")
"""Who may need a file, in 07b.1."""

_NEED = {  # of 07b.1
    "authority.crt": {"server", "hospital", "submitter"},
    "server.key": {"server"},
    "hospital-0": {"hospital"},
    "hospital-0.pub": {"server"},
    "submit.token": {"server", "submitter"},
}
_MISSING = {
    "authority.crt": "Who opens a connection has to know that it is the right server, and the server's own helpers "
    "open some too: authority.crt goes to all three. It is no secret.",
    "server.key": "The server proves with server.key that its certificate is its own.",
    "hospital-0": "Hospital 0 signs its requests with its private key.",
    "hospital-0.pub": "The server has a list of the public keys that it takes: it needs hospital-0.pub.",
    "submit.token": "Who submits sends the token, and the server compares: both have it.",
}
_TOO_MUCH = {  # the two that are missing here are public: who has them besides does no harm
    "server.key": "With server.key somebody else could stand in for the server. It never leaves the server.",
    "hospital-0": "With its private key somebody else could answer in hospital 0's name. It never leaves the hospital.",
    "submit.token": "A hospital takes runs and submits none. With the token it could run code at all the others.",
}

_GAMES, _LENGTH, _KNOCKS = 20, 16, 16 * 16  # of 07b.2


def door(token: str) -> Callable[[str], int]:
    """Make the door of 07b.2: it says how many leading characters of a guess are right.

    A comparison that stops at the first wrong character tells this by the time that it takes.
    """

    def knock(guess: str) -> int:
        same = [one == other for one, other in zip(str(guess), token, strict=False)]
        return (*same, False).index(False)

    return knock


def _judge_1(answer: object) -> Reply:
    if not isinstance(answer, Mapping) or set(answer) != set(_NEED):
        raise NotAnAnswer(f"its keys are {', '.join(repr(name) for name in _NEED)}")
    given = {name: _parties(who) for name, who in answer.items()}
    for name, needed in _NEED.items():
        if name in _TOO_MUCH and given[name] - needed:
            return wrong(_TOO_MUCH[name])
        if needed - given[name]:
            return wrong(_MISSING[name])
    return right(
        "Five files, three parties. The private keys stay where they were made, and the token is with nobody who does "
        "not submit runs. The authority's own private key is in no list: it is kept offline."
    )


def _parties(who: object) -> set[str]:
    names = {who} if isinstance(who, str) else set(who) if isinstance(who, Iterable) else {who}
    if not names <= set(PARTIES):
        odd = sorted(map(repr, names - set(PARTIES)))[0]
        raise NotAnAnswer(f"each value is a set of some of {', '.join(map(repr, PARTIES))}; {odd} is none of them")
    return names


def _judge_2(answer: object) -> Reply:
    if not callable(answer):
        raise NotAnAnswer("write it with def attack(knock)")
    rng, most = random.Random(0), 0
    for _ in range(_GAMES):
        token = f"{rng.getrandbits(4 * _LENGTH):0{_LENGTH}x}"
        knock, knocks = door(token), 0

        def counted(guess: str, knock: Callable[[str], int] = knock) -> int:
            nonlocal knocks
            knocks += 1
            if knocks > 20 * _KNOCKS:
                raise _TooManyKnocks
            return knock(guess)

        try:
            found = answer(counted)
        except _TooManyKnocks:
            return wrong(
                f"It knocked more than {20 * _KNOCKS:,} times. The door answers how many characters are right: find "
                f"them one after the other, {_LENGTH} times 16 guesses."
            )
        most = max(most, knocks)
        if found != token:
            return _why_not(found, token)
    if most > _KNOCKS + _LENGTH:
        return wrong(
            f"It finds every token, in up to {most:,} knocks. {_KNOCKS} are enough: keep the characters that are right "
            f"already, and go on with the next."
        )
    return right(
        f"All {_GAMES} tokens, with at most {most} knocks each instead of 16^16. A comparison must take as long for a "
        f"wrong token as for one that is nearly right: hmac.compare_digest does."
    )


class _TooManyKnocks(Exception):
    """Ends an answer that would try all tokens."""


def _why_not(found: object, token: str) -> Reply:
    if found is None:
        return wrong("Your function returns nothing: end it with return and the token that it found.")
    if not isinstance(found, str):
        return wrong(f"The token is a text of {_LENGTH} characters, your function returned a {type(found).__name__}.")
    if len(found) < _LENGTH and token.startswith(found):
        return wrong(f"It stops after {len(found)} characters, all of them right. A token has {_LENGTH}.")
    same = door(token)(found)
    return wrong(f"Of one token it found {same} leading characters. knock(known + character) grows when it is right.")


def _judge_3(answer: object) -> Reply:
    import pandas as pd

    from ppml_helpers import cohort
    from ppml_helpers.federated_learning.survival import kaplan_meier

    def alive(tables: list[pd.DataFrame]) -> float:
        return float(kaplan_meier(pd.concat(tables), range(1, 366)).survival[-1])

    value, homes = as_number(answer), list(cohort.hospitals(cohort.load_patients(), 4, 0, 0.9).values())
    truth, four, three = alive(homes[3:]), alive(homes), alive(homes[:3])
    if close(value, truth, 0.002):
        return right(
            f"{100 * truth:.0f} of 100 of D's patients were alive after a year, and {100 * four:.0f} of all: what D "
            f"joined the masks to hide. A sum must not be made again with others, on the same patients."
        )
    if close(value, 100 * truth, 0.2):
        return wrong("That is in percent. Give the share, from 0 to 1.")
    if close(value, four, 0.002):
        return wrong("That is the curve of all four. Take the counts of the three off those of the four, first.")
    if close(value, three, 0.002):
        return wrong("That is the curve of the other three. Take their counts off those of the four, first.")
    if close(value, four - three, 0.002) or close(value, three - four, 0.002):
        return wrong("Survival is a product and cannot be subtracted. Subtract the counts, then make the curve.")
    if close(value, 1 - truth, 0.002):
        return wrong("That is the share who died. The task asks how many were alive.")
    if not 0 <= value <= 1:
        return wrong("A share lies between 0 and 1.")
    return wrong("survival.Curve(days, at_risk, deaths).survival[364], with both counts as a difference of two sums.")


EXERCISES = (
    Exercise(
        name="07b.1",
        expects="a dict that gives each of the five files a set of parties",
        hints=(
            "Ask of each file: what does it prove, who proves it, and who checks it?",
            "A secret that two parties share is with both; of a key pair each half is with one.",
            "authority.crt is what everybody compares the server's certificate with.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="07b.2",
        expects="a function attack(knock) that returns the token",
        hints=(
            "knock(guess) answers how many leading characters are right. 16 guesses find the first one.",
            "Keep what is known: if knock(known + character) > len(known), the character is right.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="07b.3",
        expects="a share from 0 to 1",
        hints=(
            "Both sums are counts: what D counted is the difference, day by day.",
            "survival.Curve takes the days, the patients at risk and the deaths, and has the attribute survival.",
            "Day 365 is at index 364.",
        ),
        judge=_judge_3,
    ),
)
