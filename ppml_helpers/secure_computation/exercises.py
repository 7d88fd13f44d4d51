"""The exercises of chapter 09 and their judges."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ppml_helpers.exercises.frame import Exercise, Reply, as_number, close, right, wrong
from ppml_helpers.secure_computation import tf_encrypted_exercises
from ppml_helpers.secure_computation.costs import CROSSINGS, counted, seconds_on_line
from ppml_helpers.secure_computation.shares import RINGS, Board, Shared, coalition

TITLE = {"09": "Secure computation", "09b": "TF Encrypted"}

OWNERS = {"Alpha": 3, "Beta": 2, "Gamma": 2}
"""How many of seven hospitals belong to each owner, in 09.2."""

STEPS, BATCH, LATENCY, MEGABITS = 30, 512, 20.0, 10.0  # of 09.3; the latency in milliseconds


def _judge_1(answer: object) -> Reply:
    if not callable(answer):
        return wrong("Give a function `reconstruct(shares)`.")
    rng = np.random.default_rng(9)
    values = np.concatenate([[63, -7, 0, -(2**31), 2**31 - 1], rng.integers(-(2**31), 2**31, 200)])
    for parties in (2, 3, 5):
        shares = rng.integers(2**32, size=(parties, len(values)), dtype=np.uint32)
        shares[-1] = values.astype(np.uint32) - shares[:-1].sum(axis=0, dtype=np.uint32)
        try:
            found = np.asarray(answer(shares.copy()), dtype=float)
        except Exception as error:  # whatever a learner's function does is an answer
            return wrong(f"Your function failed with {parties} parties ({type(error).__name__}: {error}).")
        if found.shape != values.shape:
            return wrong(f"It returned the shape {found.shape}; {values.shape} was wanted, a number for each patient.")
        if (found == values).all():
            continue
        if (found == values % 2**32).all():
            return wrong(f"{found[1]:,.0f} stands for -7: from 2^31 on, take 2^32 off.")
        if (found == shares.sum(axis=0, dtype=np.float64)).all():
            return wrong("That is the plain sum: the arithmetic is modulo 2^32, so take the remainder.")
        return wrong(f"With {parties} parties, {found[0]:,.0f} came out where 63 was shared.")
    return right("Any number of parties, negative values too, and never with one share missing.")


def _judge_2(answer: object) -> Reply:
    value = as_number(answer)
    parties, largest = sum(OWNERS.values()), max(OWNERS.values())
    if value != int(value) or value < 1:
        return wrong("Give a whole number: how many parties together may learn nothing.")
    if value > (parties - 1) // 2:
        return wrong("MPyC multiplies with an honest majority only: fewer than half of seven may learn nothing.")
    if not coalition(63, parties, int(value) + 1, RINGS[0], largest).falls:
        return right(
            f"Four shares are needed, and no owner has more than {largest}. Two owners who agree read everything."
        )
    return wrong(f"{int(value) + 1} shares put a secret together, and Alpha's hospitals hold {largest}.")


@lru_cache
def _on_line(latency: float = LATENCY, steps: int = STEPS, scale: float = 1.0) -> float:
    step = counted()[-1]
    return seconds_on_line(steps * step.crossings, steps * step.bytes(BATCH) * scale, latency, MEGABITS)


def _judge_3(answer: object) -> Reply:
    value, target = as_number(answer), _on_line()
    if close(value, target, 0.02 * target):
        waiting = _on_line(scale=0.0)
        return right(f"{target:.0f} seconds, of which {waiting:.0f} are spent waiting and the rest sending.")
    if close(value, _on_line(steps=1), 0.02 * target / STEPS):
        return wrong(f"That is one step: there are {STEPS}.")
    if close(value, _on_line(scale=0.0), 0.005 * target):
        return wrong("That is the waiting alone: the bytes take time as well.")
    if close(value, _on_line(LATENCY / CROSSINGS), 0.005 * target):
        return wrong(f"A round crosses the line {CROSSINGS} times here: take `step.crossings`, not `step.rounds`.")
    if close(value, _on_line(scale=1 / 8), 0.005 * target):
        return wrong("A byte has eight bits: the line carries 10 megabits a second.")
    if value > 100 * target:
        return wrong("The latency is in milliseconds.")
    return wrong("Crossings times latency, and bytes times eight over the bandwidth, both for all steps.")


def _judge_4(answer: object) -> Reply:
    if not callable(answer):
        return wrong("Give a function `total_deaths(shared, board)`.")
    rng = np.random.default_rng(4)
    for _ in range(8):
        deaths = [int(one) for one in rng.integers(20, 400, size=int(rng.integers(3, 6)))]
        board = Board()
        board.open = board.open  # an attribute, which opens on this board even where the function runs elsewhere
        try:
            total = answer([Shared.of(one, len(deaths), rng) for one in deaths], board)
        except Exception as error:  # whatever a learner's function does is an answer
            return wrong(f"Your function failed ({type(error).__name__}: {error}).")
        reply = _judge_opening(total, board.opened, deaths)
        if reply is not None:
            return reply
    return right("One number on the board, the total. Each hospital's own stays in its shares.")


def _judge_opening(total: Any, opened: list[int], deaths: list[int]) -> Reply | None:
    if total is None or total is Ellipsis or as_number(total) != sum(deaths):
        return wrong(f"It returned {total!r} for {', '.join(map(str, deaths))}: the total is {sum(deaths)}.")
    if not opened:
        return wrong("Nothing was opened on the board: the shares of all hospitals were read behind its back.")
    own = next((one for one in opened if one in deaths and one != sum(deaths)), None)
    if own is not None:
        return wrong(f"{own} stands on the board: the deaths of one hospital. Add the shares first, then open.")
    if set(opened) != {sum(deaths)}:
        return wrong(f"{len(opened)} numbers stand on the board: open the total, and nothing besides it.")
    return None


EXERCISES = (
    Exercise(
        name="09.1",
        expects="a function of an array of shares, one row a party",
        hints=(
            "`shares.sum(axis=0, dtype=np.uint32)` wraps round at 2^32 by itself.",
            "From 2^31 on a number stands for a negative one: `.view(np.int32)` reads it so.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="09.2",
        expects="a whole number",
        hints=(
            "With threshold t, t + 1 shares put a secret together.",
            "Set the explorer to 7 parties and see how many must collude.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="09.3",
        expects="a number of seconds",
        hints=(
            "`step.crossings` messages, one after the other, and `step.bytes(512)` bytes are one step.",
            "`seconds_on_line(...)` adds both.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="09.4",
        expects="a function of the shared numbers and the board",
        hints=(
            "`a + b` of two shared numbers is a shared number: nobody has seen anything.",
            "Add all of them, then call `board.open` once.",
        ),
        judge=_judge_4,
        takes=("ppml_helpers.secure_computation.shares.Shared",),
    ),
    *tf_encrypted_exercises.EXERCISES,
)
