"""What a promise of (epsilon, delta) allows at most, whoever attacks and whatever else they know."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ppml_helpers import accounting

PRIOR = 0.1
"""What somebody believes before they see anything published: 1 in 10 that you were in the data."""


class Promise(NamedTuple):
    """What (epsilon, delta) allows at most, at one share of false alarms; all shares from 0 to 1."""

    epsilon: float
    delta: float
    false_alarms: float
    guess: float  # right guesses when being in the data is as likely as not
    found: float  # of those in the data, named at this share of false alarms
    belief: float  # that you were in the data, after you were named, for somebody who began at PRIOR


def promise(epsilon: float, delta: float = accounting.DELTA, false_alarms: float = 0.01) -> Promise:
    """Compute the limits from the exact trade-off of (epsilon, delta)."""
    found = accounting.membership_power(epsilon, delta, false_alarms)
    guess = accounting.membership_accuracy(epsilon, delta)
    return Promise(epsilon, delta, false_alarms, guess, found, belief_after(PRIOR, found, false_alarms))


def belief_after(before: float | np.ndarray, found: float, false_alarms: float) -> float | np.ndarray:
    """Return the belief that somebody named is in the data, by Bayes' rule."""
    return before * found / (before * found + (1 - before) * false_alarms)
