"""Numbers and names in words, for sentences and tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def percent(share: float, digits: int = 0) -> str:
    """Return a share as a percentage, with so many digits after the point: 0.123 is "12 %"."""
    return f"{100 * share:.{digits}f} %"


def in_100(share: float) -> str:
    """Return a share as so many in 100: two digits, or near 100 as many as show the gap to it."""
    gap = 1 - share
    if gap >= 0.05:
        return f"{100 * share:.2g}"
    return f"{100 - float(f'{100 * gap:.1g}'):.10g}"


def one_in(share: float) -> str:
    """Return a small share as "1 in 100,000"."""
    return f"1 in {round(1 / share):,}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 patient", "1,200 patients"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Iterable[Any], word: str = "and", most: int | None = None) -> str:
    """Return names as "a, b and c"; beyond `most`, "a, b and 7 more"."""
    given = [str(name) for name in names]
    if most is not None and len(given) > most:
        given = [*given[:most], f"{len(given) - most} more"]
    return f" {word} ".join([", ".join(given[:-1]), given[-1]]) if len(given) > 1 else "".join(given)
