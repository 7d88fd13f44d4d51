"""The exercises of chapter 09b and their judges, for its Python 3.10 too."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np

from ppml_helpers.exercises.frame import Exercise, Reply, right, wrong

SCALE = 2**16  # a number is held as a whole multiple of 2^-16
OWN_CUTS = (-4.0, -1.5, 1.5, 4.0)
OWN_LINES = ((1e-4, 0.0), (0.281, 0.066), (0.5, 0.212), (0.719, 0.066), (1 - 1e-4, 0.0))
"""TF Encrypted's own five pieces of the sigmoid, each an intercept and a slope."""
WANTED = 0.02  # largest error of 09b.2

_LOGITS = np.linspace(-12, 12, 4801)
_RISKS = 1 / (1 + np.exp(-_LOGITS))


def approximate(cuts: Any, lines: Any, logits: np.ndarray) -> np.ndarray:
    """Return what pieces make of logits: up to the first cut the first line, each an intercept and a slope.

    Parameters
    ----------
    cuts : array_like, shape (pieces - 1,)
        In rising order.
    lines : sequence
        A line a piece: (intercept, slope), or (constant,).
    logits : np.ndarray
    """
    numbers = np.array([(*np.atleast_1d(line), 0.0)[:2] for line in lines], dtype=float)
    piece = np.searchsorted(np.asarray(cuts, dtype=float), logits)
    return numbers[piece, 0] + numbers[piece, 1] * logits


def _judge_1(answer: object) -> Reply:
    if not callable(answer):
        return wrong("Give a function `collude(a, b, of_a, of_b)`.")
    rng = np.random.default_rng(9)
    values = np.concatenate([[62.0, -5.25, 0.0], rng.integers(-(2**20), 2**20, 50) / SCALE])
    shares = rng.integers(2**64, size=(3, len(values)), dtype=np.uint64)
    shares[2] = np.rint(values * SCALE).astype(np.int64).astype(np.uint64) - shares[0] - shares[1]
    held = [np.stack([shares[server], shares[(server + 1) % 3]]) for server in range(3)]
    for a, b in permutations(range(3), 2):
        found = np.asarray(answer(a, b, held[a].copy(), held[b].copy()))
        if found.shape != values.shape:
            return wrong(f"It returned the shape {found.shape}; {values.shape} was wanted, a number for each value.")
        reply = _compare(found, values, held[a].sum(axis=0) + held[b].sum(axis=0), f"servers {a} and {b}")
        if reply is not None:
            return reply
    return right("Any two servers read everything, whichever they are. One alone lacks a uniform number.")


def _compare(found: np.ndarray, values: np.ndarray, all_four: np.ndarray, who: str) -> Reply | None:
    """Say what is wrong with reconstructed values, or nothing where they are right."""
    whole = np.rint(values * SCALE)
    numbers = found.astype(float)
    if np.abs(numbers - values).max() < 1e-9:
        return None
    if np.abs(numbers - whole).max() < 0.5:
        return wrong(f"{numbers[0]:,.0f} stands for 62: numbers are held as multiples of 2^-16.")
    unsigned = whole.astype(np.int64).astype(np.uint64).astype(float)
    if np.allclose(numbers, unsigned) or np.allclose(numbers * SCALE, unsigned):
        return wrong("Negative values come out huge: from 2^63 on take 2^64 off, as `.view(np.int64)` does.")
    for scaled in (all_four.astype(float), all_four.view(np.int64) / SCALE, all_four / SCALE):
        if np.allclose(numbers, scaled):
            return wrong(f"You added all four, and {who} hold one share both: it counts once.")
    return wrong(f"With {who} {numbers[0]:,.2f} came out where 62 was shared. Which three shares do they hold?")


def _judge_2(answer: object) -> Reply:
    try:
        cuts, lines = answer  # type: ignore[misc]
        cuts = np.asarray(cuts, dtype=float).reshape(-1)
        sizes = {np.size(line) for line in lines}
    except (TypeError, ValueError):
        return wrong("Give `pieces`, a pair: four rising cuts, and five lines (intercept, slope).")
    if len(cuts) > 4:
        return wrong(f"{len(cuts)} cuts: a cut costs a comparison for each patient, and four are allowed.")
    if len(lines) != len(cuts) + 1:
        return wrong(f"{len(cuts)} cuts make {len(cuts) + 1} pieces, and there are {len(lines)} lines.")
    if not sizes <= {1, 2}:
        return wrong("A line has two numbers, intercept and slope: powers cost more products.")
    if (np.diff(cuts) <= 0).any():
        return wrong("The cuts must rise: the first line holds up to the first cut.")
    if not np.isfinite([*cuts, *(number for line in lines for number in np.atleast_1d(line))]).all():
        return wrong("A cut or a line is no number: finite numbers are wanted.")
    error = _worst(cuts, lines)
    if error <= WANTED:
        return right(
            f"Off by {error:.3f} at most, with the library's own number of comparisons, where it is off by 0.04."
        )
    if _worst(cuts, [tuple(np.atleast_1d(line))[::-1] for line in lines]) <= WANTED:
        return wrong("Each line is an intercept, then a slope: yours are the other way round.")
    at = _LOGITS[np.argmax(np.abs(approximate(cuts, lines, _LOGITS) - _RISKS))]
    told = f"off by {error:.3f} at the logit {at:.1f}"
    if np.array_equal(cuts, OWN_CUTS) and abs(error - _worst(OWN_CUTS, OWN_LINES)) < 1e-3:
        return wrong(f"Those are the library's own pieces, {told}: move the cuts towards 0, and the lines with them.")
    return wrong(f"Yours are {told}, and {WANTED} is allowed.")


def _worst(cuts: Any, lines: Any) -> float:
    return float(np.abs(approximate(cuts, lines, _LOGITS) - _RISKS).max())


def _judge_3(answer: object) -> Reply:
    if not callable(answer):
        return wrong("Give a function `reads(x, y, message)`.")
    replies = [_one_view(answer, x, y) for x, y in product(product((0, 1), repeat=3), repeat=2)]
    faults = [fault for fault in replies if fault]
    if not faults:
        return right("y is read in a quarter of the cases, and x in another. A mask of one random bit prevents both.")
    return wrong(max(set(faults), key=lambda fault: (faults.count(fault), fault)))


def _one_view(answer: Any, x: tuple[int, ...], y: tuple[int, ...]) -> str:
    """Show server 0 what it holds and receives in one case; return what is wrong with its conclusion."""
    message = x[1] & y[1] ^ x[1] & y[2] ^ x[2] & y[1]
    known = x[1] == 1 and y[1] == 0  # then the message is y's share that server 0 lacks
    secret = y[0] ^ y[1] ^ y[2]
    found = answer(x[:2], y[:2], message)
    if not known:
        return "" if found is None else "It names a bit where both bits fit what server 0 sees: return None there."
    if found is None:
        return "It returns None where y is certain: set x[1] to 1 and y[1] to 0 in the message's formula."
    if int(found) == secret:
        return ""
    return "It names the wrong bit: the message tells one share of y, and y is the sum of three, modulo 2."


EXERCISES = (
    Exercise(
        name="09b.1",
        expects="a function of two servers' numbers and of what each holds",
        hints=(
            "Server k holds the shares k and k + 1, counted modulo 3. Two servers hold four, one of them twice.",
            "A dict from a share's number to the share keeps each once: `{a: of_a[0], (a + 1) % 3: of_a[1], ...}`.",
            "`.view(np.int64)` reads 2^64 - 1 as -1; then divide by 2^16.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="09b.2",
        expects="a pair `(cuts, lines)`",
        hints=(
            "The flat pieces can lie between 0 and the curve's height at the cut: half of it is best.",
            "For cuts at 1.4 and 3.4, `np.polyfit(z, risk, 1)` over a piece gives a slope.",
            "Then move the line up or down until it is off by the same amount above and below.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="09b.3",
        expects="a function of two pairs of bits and the message",
        hints=(
            "Write the message out for each of the four values of x[1] and y[1].",
            "With x[1] = 1 and y[1] = 0 only y's third share is left in it.",
        ),
        judge=_judge_3,
    ),
)
