"""The least noise that keeps a promise: searched, or looked up in ``noise_table.json`` for the course's explorers.

The table holds the slider of chapter 05, 0.01 to 10 in steps of a tenth of a power of ten, for one sample rate and
number of steps. It is made anew by::

    .venv/bin/python -m ppml_helpers.noise_search 0.2 100 > table.json && mv table.json ppml_helpers/noise_table.json
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from importlib import resources
from types import MappingProxyType

from scipy.optimize import brentq

from ppml_helpers.errors import PrivacyParameterError
from ppml_helpers.privacy_loss import Part, composed, exact_epsilon

_LEAST, _MOST = 1e-4, 1e7  # noise multipliers that are ever searched
_LEAST_SAMPLED = 1e-2


@lru_cache(maxsize=4096)
def least_noise(target: float, sample_rate: float, steps: int, delta: float, rows: int = 1) -> float:
    """Return the least noise multiplier found; the fine grid itself checks it, so it cannot promise too much.

    Parameters and errors are those of `accounting.noise_multiplier`, which refuses what is out of range.
    """
    if sample_rate == 1:
        return _halved(lambda sigma: exact_epsilon(math.sqrt(steps) * rows / sigma, delta), target)

    def cost(sigma: float, cells: int = 10_000) -> float:
        return composed((Part(sigma, sample_rate, rows, steps),), delta, cells)

    enough = least_noise(target, 1.0, steps, delta, rows)  # sampling only helps
    sigma = _crossing(partial(cost, cells=1_000), target, enough)
    if cost(0.999 * sigma) <= target:  # the coarse grid can be far off at tiny epsilons: again on the fine one
        sigma = _crossing(cost, target, sigma)
    while cost(sigma) > target:
        sigma *= 1 + 1e-4
    return sigma


def _halved(cost: Callable[[float], float], target: float) -> float:
    """Halve the range of noise on a log scale; return its upper end, which always meets the target."""
    low, high = _LEAST, _MOST
    if cost(high) > target:
        raise PrivacyParameterError(
            f"target_epsilon is {target:g}: no noise multiplier up to {_MOST:g} is enough; ask for a larger epsilon, "
            "fewer steps or a larger delta."
        )
    while high / low > 1 + 1e-9:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if cost(middle) <= target else (middle, high)
    return high


def _crossing(cost: Callable[[float], float], target: float, enough: float) -> float:
    """Return where the cost crosses the target, to 1 in 10^4, with the few costs that Brent's method asks for."""

    def excess(log_sigma: float) -> float:
        return math.log(max(cost(math.exp(log_sigma)) / target, 1e-6))

    high = math.log(enough)
    least = min(high, math.log(_LEAST_SAMPLED))
    low = max(least, high + excess(high) - 1e-3)  # epsilon falls at least as fast as noise grows
    while excess(low) <= 0:
        if low <= least:
            return math.exp(low)
        low = max(least, low - 2)
    return math.exp(brentq(excess, low, high, xtol=5e-5)) if excess(high) < 0 else enough


def build_table(epsilons: Iterable[float], sample_rate: float, steps: int, delta: float) -> dict[str, float]:
    """Return the entries of ``noise_table.json`` for these epsilons, rounded up to six decimals."""
    settings = [(float(epsilon), float(sample_rate), int(steps), float(delta)) for epsilon in epsilons]
    return {_key(*setting): math.ceil(least_noise(*setting) * 1e6) / 1e6 for setting in settings}


def known(target: float, sample_rate: float, steps: int, delta: float) -> float | None:
    """Return the table's noise multiplier, if it has this setting."""
    return table().get(_key(target, sample_rate, steps, delta))


@lru_cache(maxsize=1)
def table() -> Mapping[str, float]:
    """Return the table as it is stored: the key is epsilon, sample rate, steps and delta."""
    text = resources.files("ppml_helpers").joinpath("noise_table.json").read_text(encoding="utf-8")
    return MappingProxyType(json.loads(text))


def _key(target: float, sample_rate: float, steps: int, delta: float) -> str:
    return f"{target:.9g} {sample_rate:.9g} {steps} {delta:.9g}"


if __name__ == "__main__":
    made = build_table((10 ** (k / 10) for k in range(-20, 11)), float(sys.argv[1]), int(sys.argv[2]), 1e-5)
    print(json.dumps(made, indent=1))
